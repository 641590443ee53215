#!/bin/sh
# Prints a %pre scriptlet that makes the users and groups of a sysusers.d(5) file: what %sysusers_create_compat does.
set -eu

# Quotes a word for the printed scriptlet.
quoted() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

user() { # name id description home shell
    group=$(quoted "$1")
    number=${2%%:*}
    echo "getent group $group >/dev/null || groupadd -f${number:+ -g $(quoted "$number")} -r $group || :"
    echo "getent passwd $group >/dev/null ||" \
        "useradd -r -M${number:+ -u $(quoted "$number")} -g $group -d $(quoted "$4") -s $(quoted "$5")" \
        "-c $(quoted "$3") $group || :"
}

# The description is the one field that is quoted in these files: eval splits a line as the format wants it, after
# all that a shell would act on is refused.
grep -v -E '^[[:space:]]*(#|$)' "$1" | while IFS= read -r line; do
    case $line in *[\`\$\;\&\|\<\>\(\)\\]*) echo "$1: cannot read: $line" >&2; exit 1 ;; esac
    eval "set -f; set -- $line"
    kind=${1%!} name=$2 id=${3:--} description=${4:--} home=${5:--} shell=${6:--}
    [ "$id" = - ] && id=
    [ "$description" = - ] && description=
    [ "$home" = - ] && home=/
    [ "$shell" = - ] && shell=/sbin/nologin
    case $kind in
        u) user "$name" "$id" "$description" "$home" "$shell" ;;
        g) echo "getent group $(quoted "$name") >/dev/null || groupadd -f${id:+ -g $(quoted "$id")} -r $(quoted "$name") || :" ;;
        m) echo "usermod -a -G $(quoted "$id") $(quoted "$name") || :" ;;
    esac
done
