// Package guest is what runs inside a VM: it reads its configuration from the
// seed, puts the instance's SSH host key and certificate in place, joins the
// tenant's mesh, answers the miner's challenges, keeps the clock right and lets
// the root filesystem follow a disk that grows. It
// needs no inbound port and no network to be heard: its words go over a
// virtio-serial channel.
//
// [Serve] is the channel's conversation alone. A driver without VMs runs
// the very same code as its guest.
package guest
