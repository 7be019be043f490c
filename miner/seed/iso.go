package seed

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An image is ISO 9660 with Rock Ridge names: one directory, files in a row.
// Written here and not by a library because those at hand stage files on disk,
// secrets included, and know no name with a hyphen.

const (
	sector     = 2048
	maxFiles   = 12
	maxName    = 31
	maxISOFile = 1 << 30

	volumeSector = 16 // then the terminator
	pathsSector  = 18 // little-endian, then big-endian
	rootSector   = 20
	dataSector   = 21
)

// File of an ISO image.
type File struct {
	Name string
	Data []byte
	// Executable sets the mode to 0755 instead of 0644.
	Executable bool
}

// WriteISO writes an image of files under a volume label of upper-case letters
// and digits. Equal arguments give equal bytes.
func WriteISO(w io.Writer, label string, files []File) error {
	entries, err := layout(files)
	if err != nil {
		return fmt.Errorf("make ISO %s: %w", label, err)
	}
	if !isID(label) {
		return fmt.Errorf("make ISO: label %q is not 1 to 31 upper-case letters and digits", label)
	}
	end := uint32(dataSector)
	for _, e := range entries {
		end = e.at + e.sectors()
	}
	head := make([]byte, dataSector*sector)
	at := func(n int) []byte { return head[n*sector : (n+1)*sector] }
	volume(at(volumeSector), label, end)
	copy(at(volumeSector+1), "\xffCD001\x01")
	paths(at(pathsSector), binary.LittleEndian)
	paths(at(pathsSector+1), binary.BigEndian)
	directory(at(rootSector), entries)
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write ISO %s: %w", label, err)
	}
	for _, e := range entries {
		padding := int(e.sectors())*sector - len(e.file.Data)
		for _, b := range [][]byte{e.file.Data, make([]byte, padding)} {
			if _, err := w.Write(b); err != nil {
				return fmt.Errorf("write ISO %s: %w", label, err)
			}
		}
	}
	return nil
}

// entry is a file in its place.
type entry struct {
	file File
	id   string // plain ISO 9660 name, for readers without Rock Ridge
	at   uint32 // first sector
}

func (e entry) sectors() uint32 {
	return uint32((len(e.file.Data) + sector - 1) / sector)
}

func layout(files []File) ([]entry, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("%d files; at most %d fit", len(files), maxFiles)
	}
	entries := make([]entry, 0, len(files))
	for _, f := range files {
		if f.Name == "" || len(f.Name) > maxName || strings.ContainsAny(f.Name, "/\x00") {
			return nil, fmt.Errorf("file name %.40q is not 1 to %d bytes without a slash", f.Name, maxName)
		}
		if len(f.Data) > maxISOFile {
			return nil, fmt.Errorf("file %s has %d bytes; at most %d fit", f.Name, len(f.Data), maxISOFile)
		}
		entries = append(entries, entry{file: f, id: plainName(f.Name)})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	next := uint32(dataSector)
	for i := range entries {
		if i > 0 && entries[i].id == entries[i-1].id {
			return nil, fmt.Errorf("file names %s and %s are too alike", entries[i-1].file.Name, entries[i].file.Name)
		}
		entries[i].at = next
		next += entries[i].sectors()
	}
	return entries, nil
}

func isID(s string) bool {
	return s != "" && len(s) < 32 && !strings.ContainsFunc(s, func(r rune) bool { return !isD(r) })
}

// isD tells the characters ISO 9660 allows in names.
func isD(r rune) bool { return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' }

// plainName gives NAME.EXT;1 of at most eight and three characters.
func plainName(name string) string {
	clean := func(s string, limit int) string {
		s = strings.Map(func(r rune) rune {
			if isD(r) {
				return r
			}
			return '_'
		}, strings.ToUpper(s))
		return s[:min(len(s), limit)]
	}
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		base, ext = name[:i], name[i+1:]
	}
	return clean(base, 8) + "." + clean(ext, 3) + ";1"
}

// both puts n in both byte orders, as most numbers of the format are.
func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

func spaces(b []byte, s string) {
	for i := range b {
		b[i] = ' '
	}
	copy(b, s)
}

// pathTableSize is that of a table with the root alone.
const pathTableSize = 10

// volume fills the primary volume descriptor (ECMA-119, 8.4).
func volume(b []byte, label string, sectors uint32) {
	copy(b, "\x01CD001\x01")
	spaces(b[8:40], "")
	spaces(b[40:72], label)
	both32(b[80:], sectors)
	both16(b[120:], 1)
	both16(b[124:], 1)
	both16(b[128:], sector)
	both32(b[132:], pathTableSize)
	binary.LittleEndian.PutUint32(b[140:], pathsSector)
	binary.BigEndian.PutUint32(b[148:], pathsSector+1)
	copy(b[156:190], record("\x00", rootSector, sector, isDirectory, nil))
	spaces(b[190:813], "")
	for _, at := range []int{813, 830, 847, 864} { // no dates
		copy(b[at:], "0000000000000000\x00")
	}
	b[881] = 1
}

// paths fills a path table with the root alone (9.4).
func paths(b []byte, order binary.ByteOrder) {
	b[0] = 1
	order.PutUint32(b[2:], rootSector)
	order.PutUint16(b[6:], 1)
}

// directory fills the root directory (9.1): itself, its parent, the files.
func directory(b []byte, entries []entry) {
	self := slices.Concat(
		[]byte{'S', 'P', 7, 1, 0xbe, 0xef, 0},
		[]byte("ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"),
		posix(0o040555),
	)
	n := copy(b, record("\x00", rootSector, sector, isDirectory, self))
	n += copy(b[n:], record("\x01", rootSector, sector, isDirectory, posix(0o040555)))
	for _, e := range entries {
		mode := uint32(0o100444)
		if e.file.Executable {
			mode = 0o100555
		}
		name := e.file.Name
		use := append([]byte{'N', 'M', byte(5 + len(name)), 1, 0}, name...)
		n += copy(b[n:], record(e.id, e.at, uint32(len(e.file.Data)), 0, append(use, posix(mode)...)))
	}
}

// posix is Rock Ridge's PX: mode, links, owner and group root.
func posix(mode uint32) []byte {
	b := make([]byte, 36)
	copy(b, "PX\x24\x01")
	both32(b[4:], mode)
	both32(b[12:], 1)
	return b
}

const isDirectory = 2

// record is a directory record (9.1) with its system use area.
func record(id string, at, size uint32, flags byte, use []byte) []byte {
	n := 33 + len(id)
	n += n % 2
	b := make([]byte, n+len(use)+len(use)%2)
	b[0] = byte(len(b))
	both32(b[2:], at)
	both32(b[10:], size)
	b[25] = flags
	both16(b[28:], 1)
	b[32] = byte(len(id))
	copy(b[33:], id)
	copy(b[n:], use)
	return b
}
