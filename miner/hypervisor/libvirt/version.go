package libvirt

import (
	"context"
	"fmt"

	lv "github.com/digitalocean/go-libvirt"
)

// Versions asks the libvirtd at a socket for its version and QEMU's.
func Versions(ctx context.Context, socket string) (string, error) {
	l := newLink(socket)
	defer l.close()
	return versions(ctx, l)
}

func versions(ctx context.Context, l *link) (string, error) {
	return query(ctx, l, func(l *lv.Libvirt) (string, error) {
		qemu, err := l.ConnectGetVersion()
		if err != nil {
			return "", err
		}
		own, err := l.ConnectGetLibVersion()
		return fmt.Sprintf("QEMU %s, libvirt %s", dotted(qemu), dotted(own)), err
	})
}
