package seed

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strings"
)

// ErrUserData says that a tenant's user data cannot be used.
var ErrUserData = errors.New("user data cannot be used")

// MaxUserData bounds a tenant's user data once it is decompressed, in bytes.
const MaxUserData = 256 << 10

// App is an application's recipe, a cloud-config fragment.
type App struct {
	Name   string
	Recipe string
}

// keepOurs tells cloud-init how to merge a part into those before it: lists
// grow, and what is set stays set. Its own rule would have the part's lists
// replace ours, the one that starts the agent among them.
const keepOurs = "dict(no_replace,recurse_list)+list(append)+str()"

const cloudConfigHead = "#cloud-config\n"

// userData joins the base, the applications' recipes and the tenant's own
// data, which may be anything cloud-init takes. With the base alone it is
// plain cloud-config, else multipart MIME with the base first.
func userData(base []byte, apps []App, own []byte) ([]byte, error) {
	own, err := inflate(own)
	if err != nil {
		return nil, err
	}
	if len(apps) == 0 && len(bytes.TrimSpace(own)) == 0 {
		return base, nil
	}
	parts := []part{{name: "hippius", kind: "text/cloud-config", data: base}}
	for _, a := range apps {
		recipe := a.Recipe
		if !strings.HasPrefix(recipe, strings.TrimSpace(cloudConfigHead)) {
			recipe = cloudConfigHead + recipe
		}
		parts = append(parts, part{name: "app-" + a.Name, kind: "text/cloud-config", merge: true, data: []byte(recipe)})
	}
	parts = append(parts, ownParts(own)...)
	return message(parts), nil
}

// part of a multipart message.
type part struct {
	name, kind string
	merge      bool
	// encode the data in base64, whatever it holds.
	encode bool
	// whole data brings its own headers.
	whole bool
	data  []byte
}

// ownParts gives the tenant's data, of any kind: cloud-init knows a kind by its
// first line. A message of several parts is a part with headers of its own,
// into which cloud-init walks; what only looks like one is text, for headers
// that do not end would swallow our boundary.
func ownParts(own []byte) []part {
	if len(bytes.TrimSpace(own)) == 0 {
		return nil
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(own))).ReadMIMEHeader()
	if err == nil && header.Get("MIME-Version") != "" {
		return []part{{data: own, whole: true}}
	}
	return []part{{name: "user-data", kind: "text/plain", merge: true, encode: true, data: own}}
}

// message writes multipart MIME with plain newlines, for the tiny guest's sake,
// which reads lines of text.
func message(parts []part) []byte {
	mark := boundary(parts)
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n", mark)
	for _, p := range parts {
		fmt.Fprintf(&b, "\n--%s\n", mark)
		if p.whole {
			b.Write(p.data)
			continue
		}
		fmt.Fprintf(&b, "Content-Type: %s; charset=\"utf-8\"\n", p.kind)
		fmt.Fprintf(&b, "Content-Disposition: attachment; filename=%q\n", p.name)
		if p.merge {
			fmt.Fprintf(&b, "Merge-Type: %s\n", keepOurs)
		}
		data := p.data
		if p.encode {
			b.WriteString("Content-Transfer-Encoding: base64\n")
			data = base64Lines(data)
		}
		b.WriteByte('\n')
		b.Write(data)
	}
	fmt.Fprintf(&b, "\n--%s--\n", mark)
	return b.Bytes()
}

// base64Lines wraps at the length MIME allows.
func base64Lines(data []byte) []byte {
	const width = 76
	text := base64.StdEncoding.EncodeToString(data)
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(len(text), width)
		b.WriteString(text[:n])
		b.WriteByte('\n')
		text = text[n:]
	}
	return b.Bytes()
}

// boundary follows from the parts and occurs in none of them.
func boundary(parts []part) string {
	for salt := byte(0); ; salt++ {
		h := sha256.New()
		h.Write([]byte{salt})
		for _, p := range parts {
			h.Write(p.data)
		}
		mark := "hippius-" + hex.EncodeToString(h.Sum(nil)[:16])
		if !slices.ContainsFunc(parts, func(p part) bool { return bytes.Contains(p.data, []byte(mark)) }) {
			return mark
		}
	}
}

// inflate decompresses gzip, which cloud-init would take as well; broken data
// would have it refuse the whole seed, ours included.
func inflate(own []byte) ([]byte, error) {
	if !bytes.HasPrefix(own, []byte{0x1f, 0x8b}) {
		if len(own) > MaxUserData {
			return nil, fmt.Errorf("%w: %d bytes; at most %d", ErrUserData, len(own), MaxUserData)
		}
		return own, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(own))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUserData, err)
	}
	out, err := io.ReadAll(io.LimitReader(z, MaxUserData+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUserData, err)
	}
	if len(out) > MaxUserData {
		return nil, fmt.Errorf("%w: it has over %d bytes when decompressed", ErrUserData, MaxUserData)
	}
	return out, nil
}
