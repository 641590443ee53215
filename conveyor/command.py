"""The only door to a subprocess: argv lists, a time limit, a log, typed failures."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn, TypeVar

from conveyor.errors import CommandFailed, CommandMissing, CommandTimedOut, Interrupted, OutputTooLong

T = TypeVar("T")

TAIL_LINES = 20
LOG_LIMIT = 256 * 1024**2
READ_BYTES = 4 * 1024**2
READ_LINES = 20_000
READ_LINE = 2000
CHUNK = 65536
COMPLAINT_BYTES = 65536
STOP_SECONDS = 0.2  # how often one who waits for a command looks whether it is to stop
DRAIN_SECONDS = 10  # for output that is still in the pipe when the command has ended
# What a host command needs of the caller's environment: nothing that could carry a secret or change its output.
KEPT_VARIABLES = ("HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
PR_SET_PDEATHSIG = 1
# Where mkfs and chroot are. On Debian an ordinary user's PATH lacks it, and so does root's after `su` without "-".
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that has ended.

    Attributes:
        argv: the command as it was run.
        returncode: its exit code; negative for the signal that ended it.
        output: what it wrote to standard output, and to standard error unless that went to a log. Bytes that are
            not UTF-8 are replaced.
        seconds: the wall time it took.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str
    seconds: float


def minimal_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a host command: a few variables of the caller, the C.UTF-8 locale, and `extra`."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {"PATH": search_path(), "LC_ALL": "C.UTF-8"} | dict(extra or {})


def search_path() -> str:
    """Where host commands are looked for: the caller's PATH, then the system's folders that it lacks."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_bytes: bytes | None = None,
    log: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    check: bool = True,
    stop: threading.Event | None = None,
) -> Completed:
    """Run a command and wait for it.

    The command leads a session of its own, so a time-out or an exception here (Ctrl-C included) ends it with all
    its children.

    Args:
        argv: program and arguments; never a shell string.
        timeout: seconds after which the command is killed.
        cwd: the folder it runs in.
        env: variables to add to the minimal environment.
        input_bytes: what it reads from standard input; nothing if None.
        log: an open file that receives standard output and error as they come, at most LOG_LIMIT bytes of them;
            both are captured into the result if None.
        pass_fds: file descriptors that it inherits.
        check: raise on an exit code other than 0.
        stop: once it is set, the command is killed; looked at only where there is no log.

    Raises:
        CommandMissing: the program does not exist.
        CommandTimedOut: it took longer than `timeout`.
        CommandFailed: it ended with another code than 0, and `check` is set.
        Interrupted: `stop` was set.
    """
    started = time.monotonic()
    output = b""
    with (
        _standard_input(input_bytes) as stdin,
        _running(argv, timeout, cwd, env, stdin=stdin, stderr=subprocess.STDOUT, pass_fds=pass_fds) as process,
    ):
        if log is None:
            output = _captured(process, timeout, stop)
        else:
            _pump(process, log, timeout)
    completed = Completed(
        argv=tuple(argv),
        returncode=process.returncode,
        output=output.decode("utf-8", "replace"),
        seconds=time.monotonic() - started,
    )
    if check and completed.returncode != 0:
        raise _failed(argv[0], completed.returncode, completed.output)
    return completed


@contextmanager
def _standard_input(content: bytes | None) -> Iterator[IO[bytes]]:
    """What a command reads: a file in memory, which waits for nobody."""
    with open(os.devnull, "rb") if content is None else os.fdopen(os.memfd_create("input"), "w+b") as file:  # noqa: PTH123
        if content is not None:
            file.write(content)
            file.seek(0)
        yield file


class Process:
    """A command that lives as long as its caller wants, and is talked to in lines.

    It leads a session of its own: Ctrl-C at the caller's terminal is not its business. What it writes to standard error
    goes where the caller's goes.

    Args:
        argv: program and arguments; never a shell string.
        env: variables to add to the minimal environment.

    Attributes:
        pid: its process id.
        started: when it started, as `process_started` tells it.

    Raises:
        CommandMissing: the program does not exist.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        try:
            self._process = subprocess.Popen(
                list(argv),
                env=minimal_environment(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _missing(argv[0]) from error
        self.pid = self._process.pid
        self.started = process_started(self.pid)

    def send(self, line: str) -> None:
        """Say a line to it. What has ended hears nothing; its end shows in `lines`."""
        if self._process.stdin is None:
            raise AssertionError("the command was started with a pipe")
        if self._process.stdin.closed:
            return
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def lines(self) -> Iterator[str]:
        """What it says, line by line, until it has closed its standard output."""
        if self._process.stdout is None:
            raise AssertionError("the command was started with a pipe")
        for line in self._process.stdout:
            yield line.decode("utf-8", "replace").rstrip("\n")

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with all that it started in its session."""
        if self._process.poll() is None:
            _kill_session(self._process)

    def end(self, timeout: float) -> int | None:
        """Wait for its end; its exit code, negative for the signal that ended it. None when that takes too long."""
        try:
            if self._process.poll() is None:
                _wait(self._process, timeout)
        except subprocess.TimeoutExpired:
            return None
        with suppress(BrokenPipeError):  # of what was said and not heard
            _end(self._process)
        return self._process.returncode


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent has died: prctl(2). A parent that is dead already is missed."""
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise AssertionError("Linux has this since 2.1")


def ask(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    limit: int,
    stop: threading.Event | None = None,
) -> bytes:
    """Run a command for what it prints to standard output; what it complains of is only for the error.

    The command leads a session of its own, as with `run`.

    Args:
        argv: program and arguments; never a shell string.
        timeout: seconds after which the command is killed.
        env: variables to add to the minimal environment.
        limit: bytes that it may print.
        stop: once it is set, the command is killed.

    Raises:
        CommandMissing: the program does not exist.
        CommandTimedOut: it took longer than `timeout`.
        CommandFailed: it ended with another code than 0.
        OutputTooLong: it printed more than the limit.
        Interrupted: `stop` was set.
    """
    with _running(argv, timeout, None, env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        output, complaint = _listen(process, _Patience(process, timeout, stop), limit)
    if process.returncode != 0:
        raise _failed(argv[0], process.returncode, complaint.decode("utf-8", "replace"))
    return output


def become(argv: Sequence[str]) -> NoReturn:
    """Turn this process into a command, for good. The command has the caller's environment as it is.

    Raises:
        CommandMissing: the program does not exist.
    """
    sys.stdout.flush()
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - an argv list, as everywhere
    except FileNotFoundError as error:
        raise _missing(argv[0]) from error


def attach(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command for the person at the caller's terminal until it ends by itself; returns its exit code.

    The command gets a terminal of its own: on the caller's it could type, with TIOCSTI, what the caller's shell then
    runs. Without a terminal it gets the caller's standard input and output as they are.
    """
    if not sys.stdin.isatty():
        return subprocess.run(list(argv), env=minimal_environment(env), check=False).returncode
    variables = [f"{name}={value}" for name, value in minimal_environment(env).items()]
    with _restored_terminal():
        return os.waitstatus_to_exitcode(pty.spawn(["env", "-i", *variables, *argv], _read_and_fit))


@contextmanager
def _restored_terminal() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def _read_and_fit(terminal: int) -> bytes:
    """What the command wrote; its terminal is made as large as the caller's meanwhile."""
    size = fcntl.ioctl(sys.stdin, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    return os.read(terminal, CHUNK)


class _Patience:
    """How long one waits for a command.

    Args:
        process: the command.
        timeout: seconds from now on.
        stop: once it is set, nobody waits any more.
    """

    def __init__(self, process: subprocess.Popen[bytes], timeout: float, stop: threading.Event | None) -> None:
        self._process = process
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._stop = stop

    def next(self) -> float:
        """Seconds to wait before asking again.

        Raises:
            TimeoutExpired: the time is over.
            Interrupted: it was stopped.
        """
        left = self._deadline - time.monotonic()
        if self._stop is not None and self._stop.is_set():
            raise Interrupted("this was stopped")
        if left <= 0:
            raise subprocess.TimeoutExpired(self._process.args, self._timeout)
        return left if self._stop is None else min(left, STOP_SECONDS)


def _captured(process: subprocess.Popen[bytes], timeout: float, stop: threading.Event | None) -> bytes:
    """What a command prints until it ends."""
    return _patiently(_Patience(process, timeout, stop), lambda seconds: process.communicate(timeout=seconds)[0])


def _patiently(patience: _Patience, wait: Callable[[float], T]) -> T:
    """What somebody gets who waits so many seconds, again and again."""
    while True:
        try:
            return wait(patience.next())
        except subprocess.TimeoutExpired:
            patience.next()


def _listen(process: subprocess.Popen[bytes], patience: _Patience, limit: int) -> tuple[bytes, bytes]:
    """What a command prints until it ends, and the end of what it complains of."""
    if process.stdout is None or process.stderr is None:
        raise AssertionError("the command was started with pipes")
    output, complaint = bytearray(), bytearray()
    heard = {process.stdout.fileno(): output, process.stderr.fileno(): complaint}
    waiting = select.poll()
    for descriptor in heard:
        waiting.register(descriptor, select.POLLIN)
    while heard:
        for descriptor, _ in waiting.poll(patience.next() * 1000):
            chunk = os.read(descriptor, CHUNK)
            heard[descriptor] += chunk
            if not chunk:
                waiting.unregister(descriptor)
                del heard[descriptor]
        del complaint[:-COMPLAINT_BYTES]
        if len(output) > limit:
            raise OutputTooLong(f"a command printed more than {limit // 2**20} MiB")
    _patiently(patience, lambda seconds: _wait(process, seconds))
    return bytes(output), bytes(complaint)


def _missing(program: str) -> CommandMissing:
    return CommandMissing(f"{program} is not installed", hint="run 'conveyor doctor': it names the package to install")


def _failed(program: str, code: int, told: str) -> CommandFailed:
    return CommandFailed(f"{program} ended with code {code}", details=told.splitlines()[-TAIL_LINES:])


@contextmanager
def _running(
    argv: Sequence[str],
    timeout: float,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    *,
    stdin: IO[bytes] | int,
    stderr: int,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own, from its start to its end; see `_ending`.

    Raises:
        CommandMissing: the program does not exist.
    """
    with ExitStack() as stack:
        with _signals_held():
            try:
                process = subprocess.Popen(
                    list(argv),
                    cwd=cwd,
                    env=minimal_environment(env),
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                    pass_fds=tuple(pass_fds),
                )
            except FileNotFoundError as error:
                raise _missing(argv[0]) from error
            stack.enter_context(_ending(process, argv[0], timeout))
        yield process


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back what Ctrl-C and SIGTERM raise until the block has ended.

    In the middle of starting a command it would leave a process that nobody knows, and so nobody ends. The command
    does not inherit this, as it would a mask.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread alone
        return
    held: list[tuple[int, FrameType | None]] = []
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(each)):
                handlers[each] = handler
                signal.signal(each, lambda number, frame: held.append((number, frame)))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in held:
            handlers[number](number, frame)


@contextmanager
def _ending(process: subprocess.Popen[bytes], program: str, timeout: float) -> Iterator[None]:
    """The command has ended when the block has; with all its children where the block raises.

    Raises:
        CommandTimedOut: the block's waiting took too long.
    """
    try:
        yield
    except subprocess.TimeoutExpired as error:
        _kill_session(process)
        raise CommandTimedOut(f"{program} took longer than {timeout:g} s and was killed") from error
    except BaseException:
        _kill_session(process)
        raise
    finally:
        _end(process)


def _pump(process: subprocess.Popen[bytes], log: IO[bytes], timeout: float) -> None:
    """Copy the command's output into the log while it runs, and wait for it.

    A file of the host is never the command's own descriptor: it could truncate the file, or fill the disk.
    """
    output = process.stdout
    if output is None:
        raise AssertionError("the command was started without a pipe")
    copier = threading.Thread(target=_copy, args=(output, log), daemon=True)
    copier.start()
    try:
        _wait(process, timeout)
    except BaseException:
        _kill_session(process)
        raise
    finally:
        copier.join(DRAIN_SECONDS)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Wait for the end of a command; with a time limit Popen.wait itself would look for it only every 50 ms."""
    descriptor = os.pidfd_open(process.pid)
    try:
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        if not end.poll(timeout * 1000):
            raise subprocess.TimeoutExpired(process.args, timeout)
    finally:
        os.close(descriptor)
    process.wait()


def _copy(source: IO[bytes], log: IO[bytes]) -> None:
    left = LOG_LIMIT
    descriptor = source.fileno()
    while chunk := os.read(descriptor, CHUNK):
        if left > 0:
            left = _write(log, chunk, left)


def _write(log: IO[bytes], chunk: bytes, left: int) -> int:
    """Write what the limit leaves room for; returns what is left of it: nothing once the disk is full."""
    try:
        log.write(chunk[:left])
        if len(chunk) >= left:
            log.write(b"\n[the log is cut here: it has reached its limit]\n")
        log.flush()
    except OSError:
        return 0
    return left - len(chunk)


def last_lines(log: Path, start: int = 0) -> list[str]:
    """The lines of a log from `start` (bytes) on, as far as anybody looks through them for what went wrong.

    What a build writes may be hundreds of megabytes, in one line or in as many lines as bytes: the last 4 MiB of it
    count, of these the last 20,000 lines, and of each line 2,000 characters.
    """
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - READ_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [line[:READ_LINE] for line in lines[-READ_LINES:]]


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and what it started, which may have outlived it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Reap the command, and close its pipes."""
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def process_started(pid: int) -> int | None:
    """When a process of this machine started, in clock ticks since boot; None when there is none, or it is a zombie.

    Together with the pid it names a process for good: pids are used again. See proc_pid_stat(5).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in brackets, and may hold blanks and brackets itself.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
