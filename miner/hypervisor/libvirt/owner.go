package libvirt

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// owner is the user QEMU runs as.
type owner struct{ uid, gid int }

func lookupOwner(name string) (owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return owner{}, fmt.Errorf("QEMU's user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("QEMU's user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("QEMU's user %s: %w", name, err)
	}
	return owner{uid, gid}, nil
}

// makeDir makes a folder in which QEMU, and only QEMU, can make sockets.
func (o owner) makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return os.Chown(path, o.uid, o.gid)
}
