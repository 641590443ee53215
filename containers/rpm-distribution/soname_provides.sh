# For each library that a line of standard input names: its path, a tab, and one thing that RPM says it provides.
# Runs inside the Debian root. Linker scripts look like libraries but provide nothing.
while IFS= read -r library; do
    /usr/lib/rpm/elfdeps --provides "$library" 2>/dev/null | while IFS= read -r provided; do
        printf '%s\t%s\n' "$library" "$provided"
    done
done
