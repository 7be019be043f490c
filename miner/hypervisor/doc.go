// Package hypervisor says what a VM is to a miner: the plain values that
// describe one, the states it can be in, and the small interfaces through
// which the agent drives it.
//
// Two drivers implement them: libvirt (QEMU through libvirtd) and fake (in
// memory, for tests and for a network without root). The suite in vmtest is
// the contract in executable form; both pass it.
//
// A driver never decides. It makes one VM match one request and reports
// what it sees; what should be is the agent's business. Every method may be
// repeated after a crash of the caller at any point: asking again for what is
// already so is not an error.
//
// Checkpoints are not here yet. Their place is beside Disks: a VM's disk
// is the top of a chain of layers in its own directory, of which there is
// today exactly one above the base image.
package hypervisor
