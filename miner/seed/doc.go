// Package seed makes the two CDs a VM boots with: its own NoCloud seed with
// keys, network and the instance's secrets, and the one shared by all VMs with
// the guest's agent.
//
// Nothing here touches a disk: a seed holds an instance's secrets, so it is
// made in memory and written to a tmpfs.
package seed
