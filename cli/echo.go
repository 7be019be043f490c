package cli

import "golang.org/x/sys/unix"

// echoOff keeps a terminal from showing what is typed, from before a prompt asks for it.
func echoOff(fd int) error {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(fd, setTermios, t)
}
