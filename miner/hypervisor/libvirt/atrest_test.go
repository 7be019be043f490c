package libvirt_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// onDisk is what a VM's guest read from its disk and wrote back to it.
var onDisk = []byte("what the tenant keeps on his disk")

// forms are the ways in which a key might be written down.
func forms(k hypervisor.DiskKey) map[string]string {
	return map[string]string{"raw": string(k[:]), "base64": string(k.Passphrase()), "hex": hex.EncodeToString(k)}
}

// watchArguments looks at the arguments and the environment of every process
// until stop, which tells what was said that it looks for, and by whom.
func watchArguments(t *testing.T, secrets map[string]string) (stop func() (found []string, programs map[string]bool)) {
	t.Helper()
	done := make(chan struct{})
	programs := map[string]bool{}
	var found []string
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			processes, err := filepath.Glob("/proc/[0-9]*")
			if err != nil {
				t.Error(err)
				return
			}
			for _, dir := range processes {
				args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
				if err != nil || len(args) == 0 {
					continue // it has ended
				}
				environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
				program, _, _ := bytes.Cut(args, []byte{0})
				programs[filepath.Base(string(program))] = true
				for what, secret := range secrets {
					if bytes.Contains(args, []byte(secret)) || bytes.Contains(environ, []byte(secret)) {
						found = append(found, filepath.Base(string(program))+" is told the key, "+what)
					}
				}
			}
			time.Sleep(time.Millisecond)
		}
	})
	return func() ([]string, map[string]bool) {
		close(done)
		watching.Wait()
		return found, programs
	}
}

// atRest looks at what a VM that is off has left on the disk, with and
// without its key, and then the same in the trash.
func (b *bench) atRest(t *testing.T, m hypervisor.Definition) {
	t.Helper()
	root, err := filepath.Glob(filepath.Join(b.cfg.StateDir, "disks", string(m.ID), "root.qcow2"))
	testkit.Check(t, err)
	if len(root) != 1 {
		t.Fatalf("disks %v", root)
	}
	b.sealed(t, root[0], m.DiskKey)

	// Its key is not in the arguments of what grows it.
	stop := watchArguments(t, forms(m.DiskKey))
	err = b.driver.ResizeDisk(t.Context(), hypervisor.Root(m.ID), m.DiskBytes+1<<20, m.DiskKey)
	found, programs := stop()
	testkit.Check(t, err)
	if !programs["qemu-img"] {
		t.Errorf("qemu-img was not seen at work, but %v", programs)
	}
	for _, f := range found {
		t.Error(f)
	}

	testkit.Check(t, b.driver.TrashDisk(t.Context(), hypervisor.Root(m.ID)))
	trash, err := filepath.Glob(filepath.Join(b.cfg.StateDir, "trash", string(m.ID)+".*", "root.qcow2"))
	testkit.Check(t, err)
	if len(trash) != 1 {
		t.Fatalf("the trash holds %v", trash)
	}
	b.sealed(t, trash[0], m.DiskKey)
}

// sealed wants a disk to be of no use to who has the files and not the key.
func (b *bench) sealed(t *testing.T, disk string, key hypervisor.DiskKey) {
	t.Helper()
	// Nothing lies open, in any file.
	for _, dir := range []string{b.cfg.StateDir, b.cfg.RunDir} {
		testkit.Check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			for _, secret := range [][]byte{onDisk, []byte(key), key.Passphrase(), []byte(hex.EncodeToString(key))} {
				if bytes.Contains(data, secret) {
					t.Errorf("%s holds %.40q", path, secret)
				}
			}
			info, statErr := e.Info()
			if statErr == nil && info.Mode().Perm()&0o007 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			// What modes say holds for a user who is nobody.
			cat := exec.CommandContext(t.Context(), "cat", path)
			cat.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if text, err := cat.Output(); err == nil {
				t.Errorf("nobody reads %d bytes of %s", len(text), path)
			}
			return err
		}))
	}
	// Nor does it open, but with the key.
	open := func(key hypervisor.DiskKey) ([]byte, error) {
		dir := t.TempDir()
		plain, secret := filepath.Join(dir, "plain"), filepath.Join(dir, "key")
		testkit.Check(t, os.WriteFile(secret, key.Passphrase(), 0o600))
		args := []string{"convert", "-O", "raw", "-f", "qcow2", disk, plain}
		if key != nil {
			args = []string{
				"convert", "-O", "raw", "--object", "secret,id=key,format=raw,file=" + secret,
				"--image-opts", "driver=qcow2,encrypt.format=luks,encrypt.key-secret=key,file.filename=" + disk, plain,
			}
		}
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "qemu-img", args...).CombinedOutput(); err != nil {
			return out, err
		}
		return os.ReadFile(plain)
	}
	for what, k := range map[string]hypervisor.DiskKey{"no key": nil, "another key": vmtest.NewKey(), "an empty key": make(hypervisor.DiskKey, hypervisor.DiskKeyBytes)} {
		if out, err := open(k); err == nil || !strings.Contains(string(out), "key") && !strings.Contains(string(out), "password") {
			t.Errorf("%s opened with %s: %v, %.200q", disk, what, err, out)
		}
	}
	plain, err := open(key)
	if err != nil || !bytes.Contains(plain, onDisk) {
		t.Errorf("%s does not open with its key: %v, %.200q", disk, err, plain)
	}
}
