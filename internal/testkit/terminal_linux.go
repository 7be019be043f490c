package testkit

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal makes a pseudo-terminal of 40 lines with 100 columns: what a person has, and what a program is given. The test
// closes both at its end, if they have not been.
func Terminal(t testing.TB) (person, program *os.File) {
	t.Helper()
	person = open(t, "/dev/ptmx")
	fd := int(person.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	return person, open(t, fmt.Sprint("/dev/pts/", number))
}

func open(t testing.TB, terminal string) *os.File {
	t.Helper()
	f, err := os.OpenFile(terminal, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // closed already is well
	return f
}
