package tenant

import (
	"fmt"
	"strings"
)

// Kind says what a Fault is about; a closed set.
type Kind uint8

// The kinds.
const (
	// BadName is none a VM can have; NameTaken is another VM's of the account.
	BadName Kind = iota + 1
	NameTaken
	// ImageTooLarge for the plan's disk.
	ImageTooLarge
	// AppImage: the application does not work on the image.
	AppImage
	// NoMiner has that name or address; ManyMiners have that name.
	NoMiner
	ManyMiners
	// NoKey: the account has no SSH key at all; UnknownKey is none of the account's; KeysRemoved: all of the VM's left it.
	NoKey
	UnknownKey
	KeysRemoved
	// NoAddress is left in the account's block.
	NoAddress
	// WrongPhase of the VM for what is asked.
	WrongPhase
	// SameSize: the VM has it already.
	SameSize
)

// Fault is why the chain would refuse what is asked for, found before anything is sent.
type Fault struct {
	Kind Kind
	// Name of the VM in question, where it exists.
	Name string
	// Sentence says what is wrong and what is accepted.
	Sentence string
}

func (f *Fault) Error() string { return f.Sentence }

func fault(kind Kind, name, format string, args ...any) error {
	return &Fault{Kind: kind, Name: name, Sentence: fmt.Sprintf(format, args...)}
}

// UnknownError says what there is instead of what was asked for.
type UnknownError struct {
	// What is "plan", "image", "app" or "region".
	What string
	// Name that was asked for; empty for none.
	Name string
	// There are these.
	There []string
}

func (e *UnknownError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("no %s is named; %s", e.What, e.Choice())
	}
	return fmt.Sprintf("there is no %s %q; %s", e.What, e.Name, e.Choice())
}

// Choice says what there is, as the end of a sentence.
func (e *UnknownError) Choice() string {
	if len(e.There) == 0 {
		return "there are none yet"
	}
	return "there are: " + strings.Join(e.There, ", ")
}
