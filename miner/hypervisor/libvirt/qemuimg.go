package libvirt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/miner/hypervisor"
)

// wrongKeyWords are QEMU's, when a passphrase opens no key slot.
const wrongKeyWords = "Invalid password"

// withKey runs qemu-img with the passphrase in a file in memory that only the
// two of them have open. In args KEY stands for the secret's id.
func withKey(ctx context.Context, key hypervisor.DiskKey, args ...string) error {
	fd, err := unix.MemfdCreate("disk key", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("hand over the disk key: %w", err)
	}
	file := os.NewFile(uintptr(fd), "disk key") //nolint:gosec // descriptors are small
	defer func() { _ = file.Close() }()
	if _, err := file.Write(key.Passphrase()); err != nil {
		return fmt.Errorf("hand over the disk key: %w", err)
	}
	// The command's first extra file is its descriptor 3.
	args = append([]string{args[0], "--object", "secret,id=key,format=raw,file=/proc/self/fd/3"}, args[1:]...)
	_, err = runImg(ctx, []*os.File{file}, args...)
	return err
}

// runImg runs qemu-img and returns its output.
func runImg(ctx context.Context, files []*os.File, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, qemuImg, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.ExtraFiles = files
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		words := strings.TrimSpace(complaint.String())
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if strings.Contains(words, wrongKeyWords) {
			err = fmt.Errorf("%w: %w", hypervisor.ErrWrongKey, err)
		}
		return nil, fmt.Errorf("qemu-img %s: %w: %s", args[0], err, words[:min(len(words), 500)])
	}
	return out.Bytes(), nil
}

// image is what qemu-img says about one.
type image struct {
	Format  string `json:"format"`
	Bytes   uint64 `json:"virtual-size"`
	Backing string `json:"backing-filename"`
	Extra   struct {
		Data struct {
			File string `json:"data-file"`
		} `json:"data"`
	} `json:"format-specific"`
}

// describe looks at an image of a stated format; it need not open its key. The
// overlay of a running VM can be looked at, too.
func describe(ctx context.Context, path, format string) (image, error) {
	var about image
	out, err := runImg(ctx, nil, "info", "--output=json", "--force-share", "-f", format, path)
	if err != nil {
		return about, err
	}
	if err := json.Unmarshal(out, &about); err != nil {
		return about, fmt.Errorf("qemu-img info: %w", err)
	}
	return about, nil
}

// resizeOverlay grows an overlay no process has open.
func resizeOverlay(ctx context.Context, path string, size uint64, key hypervisor.DiskKey) error {
	return withKey(ctx, key, "resize", "-q", "--image-opts",
		"driver=qcow2,encrypt.format=luks,encrypt.key-secret=key,file.driver=file,file.filename="+strings.ReplaceAll(path, ",", ",,"),
		strconv.FormatUint(size, 10))
}
