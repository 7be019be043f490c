// Package crashpoint lists the points of a miner's code at which tests end the process: one after each step that
// changes something outside it, named by the package and what has just been done. They do nothing unless FAULT_POINTS
// says so (internal/fault).
package crashpoint

import "strings"

// Names of all points below miner/. A test compares them with the code; others kill a process at each.
func Names() []string {
	return []string{
		// The agent: what the chain said, and the next step taken.
		"agent.heard", "agent.stored", "agent.step", "agent.adopted",
		// Up.
		"agent.planned", "agent.collected", "agent.attached", "agent.seeded", "agent.defined", "agent.disk_noted",
		"agent.disk_made", "agent.started", "agent.start_noted", "agent.run_noted", "agent.resumed",
		"agent.undone_network", "agent.undone_seed",
		// Again.
		"agent.rebooted", "agent.reboot_noted",
		// Reshaped.
		"agent.grown", "agent.refitted", "agent.growth_noted", "agent.rebuilding",
		// Down.
		"agent.stopped", "agent.cut", "agent.detached", "agent.unseeded",
		// Gone.
		"agent.confirmed", "agent.disk_trashed", "agent.destroyed", "agent.cleared_network", "agent.cleared_seed", "agent.cleared",
		"agent.forgotten", "agent.tidied_seed",
		// Said.
		"agent.reporting", "agent.reported", "agent.proofs_noted",

		"image.writing", "image.checked", "image.synced", "image.named", "image.trimmed",

		"seed.written", "seed.named", "seed.removed",

		"network.made", "network.filtered", "network.named", "network.up", "network.lifted", "network.deleted",

		"libvirt.disk_begun", "libvirt.disk_written", "libvirt.disk_named", "libvirt.disk_grown",
		"libvirt.dir_made", "libvirt.defined", "libvirt.secret_set", "libvirt.created", "libvirt.limited", "libvirt.resumed",
		"libvirt.seen_written", "libvirt.asked_reboot", "libvirt.reset", "libvirt.asked_off", "libvirt.forced",
		"libvirt.killed", "libvirt.undefined", "libvirt.trashed", "libvirt.removed", "libvirt.restored", "libvirt.swept",
	}
}

// Of gives the names of some packages, as "agent".
func Of(packages ...string) (names []string) {
	for _, name := range Names() {
		for _, p := range packages {
			if strings.HasPrefix(name, p+".") {
				names = append(names, name)
			}
		}
	}
	return names
}
