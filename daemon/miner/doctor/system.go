package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	taprules "github.com/hippius/compute/miner/network"
)

const (
	gib = 1 << 30
	// minMemoryMiB and minDiskGiB beyond the reserves are what the smallest VM takes.
	minMemoryMiB = 1024
	minDiskGiB   = 10
	fewDiskGiB   = 50
)

// Capabilities that root has unless a container or a unit took them.
const (
	capChown       = 0
	capDACOverride = 1
	capFowner      = 3
	capNetAdmin    = 12
)

func privileges(_ context.Context, e *exam) Finding {
	if uid := e.host.Euid(); uid != 0 {
		return bad("run this, and the miner, as root: sudo hippius-miner doctor", "this runs as user %d, not as root", uid)
	}
	have, err := e.host.Capabilities()
	if err != nil {
		return warn("see that /proc is mounted", "root's capabilities are unknown: %v", err)
	}
	var missing []string
	for bit, name := range map[int]string{capChown: "CAP_CHOWN", capDACOverride: "CAP_DAC_OVERRIDE", capFowner: "CAP_FOWNER", capNetAdmin: "CAP_NET_ADMIN"} {
		if have&(1<<bit) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return bad("give the container or the unit these capabilities; hippius-miner.service has them", "root lacks %s here", list(missing))
	}
	return ok("root, with the capabilities it needs")
}

func processor(_ context.Context, e *exam) Finding {
	if arch := e.host.Arch; arch != "amd64" {
		return bad("use a host with an x86-64 processor", "this is an %s host; only x86-64 hosts are supported", arch)
	}
	return ok("x86-64, %d cores", e.host.Cores())
}

func acceleration(ctx context.Context, e *exam) Finding {
	if e.set.Driver != miner.Libvirt {
		return warn("set driver: libvirt", "driver %s runs no VMs, it is for tests", e.set.Driver)
	}
	c, err := e.host.Accelerate(ctx, libvirt.Accel(e.set.Libvirt.Accel))
	const mend = "switch virtualisation (VT-x or AMD-V) on in the firmware, or nested virtualisation at whoever rents this host to you; then: modprobe kvm_intel or kvm_amd"
	switch {
	case err != nil:
		return bad(mend+"; or set libvirt.accel: auto", "%v", err)
	case c.Acceleration == hypervisor.AccelTCG:
		return warn(mend, "VMs would be emulated, which is many times slower: %s", c.Evidence)
	}
	return ok("KVM: %s", c.Evidence)
}

func memory(_ context.Context, e *exam) Finding {
	total, available, err := e.host.Memory()
	if err != nil {
		return bad("see that /proc is mounted", "%v", err)
	}
	reserve, offer := e.set.Offer.ReserveMemoryMiB, e.set.Offer.MemoryMiB
	left := total - min(total, reserve)
	switch {
	case offer > left:
		return bad(fmt.Sprintf("lower offer.memory_mib to %d or less", left), "%d MiB are offered; this host has %d, %d of them reserved for itself", offer, total, reserve)
	case left < minMemoryMiB:
		return bad("add memory, or lower offer.reserve_memory_mib", "%d MiB are left for VMs; the smallest takes %d", left, minMemoryMiB)
	case !e.running && available < left/2:
		return warn("end what takes it, or offer less with offer.memory_mib", "%d MiB are offered and only %d are free", left, available)
	}
	return ok("%d MiB, of which %d for VMs", total, left)
}

func diskForVMs(_ context.Context, e *exam) Finding {
	free, at, err := e.host.Free(e.set.Data)
	if err != nil {
		return bad("make the folder "+e.set.Data+", or set data to another", "%v", err)
	}
	left := free/gib - min(free/gib, e.set.Offer.ReserveDiskGiB)
	switch {
	case left < minDiskGiB && !e.running:
		return bad("free some, or set data to a folder on a larger disk", "%d GiB are free at %s beyond the reserve of %d; the smallest VM takes %d",
			left, at, e.set.Offer.ReserveDiskGiB, minDiskGiB)
	case left < fewDiskGiB:
		return warn("set data to a folder on a larger disk to host more", "%d GiB are free at %s beyond the reserve", left, at)
	}
	return ok("%d GiB are free at %s beyond the reserve", left, at)
}

func diskForImages(_ context.Context, e *exam) Finding {
	free, at, err := e.host.Free(filepath.Join(e.set.Data, "images"))
	if err != nil {
		return bad("make the folder "+e.set.Data+", or set data to another", "%v", err)
	}
	const oneImage = 4
	switch {
	case free/gib < oneImage:
		return bad("free some: one image takes up to a few GiB", "%d GiB are free for images at %s", free/gib, at)
	case free/gib < e.set.Images.MaxGiB && !e.running:
		return warn(fmt.Sprintf("lower images.max_gib to %d", free/gib/2), "images may take %d GiB and %d are free at %s", e.set.Images.MaxGiB, free/gib, at)
	}
	return ok("%d GiB are free at %s, images may take %d", free/gib, at, e.set.Images.MaxGiB)
}

func libvirtd(ctx context.Context, e *exam) Finding {
	version, err := e.host.Libvirt(ctx, e.set.Libvirt.Socket)
	if err != nil {
		return bad("apt-get install libvirt-daemon-system; systemctl enable --now libvirtd; or set libvirt.socket", "libvirtd does not answer at %s: %v", e.set.Libvirt.Socket, err)
	}
	return ok("%s", version)
}

func qemu(ctx context.Context, e *exam) Finding {
	var found []string
	for _, tool := range []string{"qemu-system-x86_64", "qemu-img"} {
		line, err := e.host.Version(ctx, tool)
		if err != nil {
			return bad("apt-get install qemu-system-x86 qemu-utils", "%s does not run: %v", tool, err)
		}
		found = append(found, line)
	}
	return ok("%s", strings.Join(found, "; "))
}

func qemuUser(_ context.Context, e *exam) Finding {
	if err := e.host.User(e.set.Libvirt.User); err != nil {
		return bad("set libvirt.user to whom libvirtd runs QEMU as (user in /etc/libvirt/qemu.conf; Debian: libvirt-qemu)", "%v", err)
	}
	return ok("%s", e.set.Libvirt.User)
}

func firewall(_ context.Context, e *exam) Finding {
	if err := e.host.Firewall(); err != nil {
		return bad("modprobe nf_tables nft_chain_nat nft_masq nft_ct; a container needs its host's kernel to have them", "the kernel's nftables do not work here: %v", err)
	}
	return ok("nftables with nat and ingress chains")
}

// forwarding looks for what other programs drop of what is forwarded: the VMs would run, and be out of reach.
func forwarding(_ context.Context, e *exam) Finding {
	chains, err := e.host.Blocked(e.set.Libvirt.Tag)
	if len(chains) > 0 && !e.running {
		return ok("other programs' rules drop what is forwarded (%s); the miner adds rules for its VMs at their ends", strings.Join(chains, ", "))
	}
	if len(chains) > 0 {
		prefix := taprules.TapPrefix(e.set.Libvirt.Tag)
		return bad(fmt.Sprintf("have that program accept what comes from and goes to the interfaces %[1]s*; for Docker: iptables -I DOCKER-USER -i %[1]s+ -j ACCEPT; "+
			"iptables -I DOCKER-USER -o %[1]s+ -j ACCEPT", prefix),
			"other programs' rules drop what VMs send and are sent: %s", strings.Join(chains, ", "))
	}
	if err != nil {
		return warn("look at 'nft list ruleset' for chains that drop what is forwarded", "not all rules of other programs can be read: %v", err)
	}
	return ok("no rules of other programs drop what VMs send")
}

func taps(_ context.Context, e *exam) Finding {
	if err := e.host.Device("/dev/net/tun"); err != nil {
		return bad("modprobe tun; a container needs the device /dev/net/tun", "VMs cannot be connected: %v", err)
	}
	return ok("/dev/net/tun opens")
}

func vhost(_ context.Context, e *exam) Finding {
	if err := e.host.Device("/dev/vhost-net"); err != nil {
		return warn("modprobe vhost_net", "VMs' network is slower without vhost: %v", err)
	}
	return ok("/dev/vhost-net opens")
}

func guestAgent(_ context.Context, e *exam) Finding {
	if err := e.host.Program(e.set.Agent); err != nil {
		return bad("install the package hippius-miner again, or set agent to the hippius-guest program", "VMs cannot be given their agent: %v", err)
	}
	return ok("%s", e.set.Agent)
}

func ports(ctx context.Context, e *exam) Finding {
	if e.running {
		return ok("the miner runs and holds %s and %s", e.set.Listen, e.set.Observe)
	}
	for what, addr := range map[string]netip.AddrPort{"listen": e.set.Listen, "observe": e.set.Observe} {
		if err := e.host.Listen(ctx, addr); err != nil {
			return bad("end what holds the port (ss -ltnp shows it), or set "+what+" to another", "%s: %v", what, err)
		}
	}
	if !e.set.Observe.Addr().IsLoopback() && !e.set.Observe.Addr().IsPrivate() {
		return warn("set observe to 127.0.0.1 or a private address", "observe %s shows the miner's metrics to everyone", e.set.Observe)
	}
	return ok("%s and %s are free", e.set.Listen, e.set.Observe)
}

func publicAddress(ctx context.Context, e *exam) Finding {
	if e.set.Public == "" {
		return bad("set public to host:port at which tenants reach this host", "the settings give no public address")
	}
	host, _, err := net.SplitHostPort(e.set.Public)
	if err != nil {
		return bad("set public to host:port at which tenants reach this host", "public %q is not host:port", e.set.Public)
	}
	addrs, err := e.host.Resolve(ctx, host)
	if err != nil {
		return bad("correct the name, or its DNS entry", "the name in public, %s, is not found: %v", host, err)
	}
	for _, a := range addrs {
		if a = a.Unmap(); a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
			return warn("set public to an address that the internet reaches, and forward the port to this host", "%s is %s, which tenants elsewhere do not reach", host, a)
		}
	}
	return ok("%s", e.set.Public)
}
