package guest

import (
	"context"
	"time"

	wire "github.com/hippius/compute/core/guest"
)

// reloadWatch is how long after the host key was put in place a listener is
// looked for that started before it, and so may not know it.
const reloadWatch = 3 * time.Minute

// readMargin is how much younger than the key's arrival a listener must be to
// have surely read it: sshd reads its keys first and becomes the process that
// listens only then, a second or more later on a slow host.
const readMargin = 10 * time.Second

// keepHostKey puts the instance's host key in place and has an sshd that
// started earlier read it.
func (a *Agent) keepHostKey(ctx context.Context, cfg wire.Config) error {
	err := a.retry(ctx, "ssh", func() error {
		changed, err := a.c.System.InstallHostKey(cfg.SSHHostKey, cfg.SSHHostCert)
		if err == nil {
			a.c.Log.Info("SSH host key in place", "changed", changed)
		}
		return err
	})
	if err != nil {
		return err
	}
	placed := a.c.System.Uptime()
	t := time.NewTicker(a.c.Pause / 4)
	defer t.Stop()
	for a.c.System.Uptime() < placed+reloadWatch {
		if l, ok := a.c.System.SSHListener(); ok {
			if l.Started > placed+readMargin {
				return nil // it has read the key
			}
			err := a.c.System.ReloadSSH(l)
			a.problem("ssh", err)
			if err == nil {
				a.c.Log.Info("sshd reloaded", "pid", l.PID)
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}
