package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
)

type planView struct {
	Name               string `json:"name"`
	VCPUs              uint32 `json:"vcpus"`
	MemoryMiB          uint64 `json:"memory_mib"`
	DiskGiB            uint64 `json:"disk_gib"`
	IOPS               uint32 `json:"iops"`
	DiskBytesPerSecond uint64 `json:"disk_bytes_per_second"`
	NetworkBitsPerSec  uint64 `json:"network_bits_per_second"`
	RunningPerHour     uint64 `json:"running_ucredit_per_hour"`
	StoppedPerHour     uint64 `json:"stopped_ucredit_per_hour"`
}

func viewPlan(p plan.Priced) planView {
	l := p.Plan
	return planView{
		Name: l.Name, VCPUs: l.VCPUs, MemoryMiB: l.MemoryMiB, DiskGiB: l.DiskGiB,
		IOPS: l.IOPS, DiskBytesPerSecond: l.DiskBytesPerSecond, NetworkBitsPerSec: l.NetworkBitsPerSecond,
		RunningPerHour: p.Running, StoppedPerHour: p.Stopped,
	}
}

// group is a command that only has subcommands.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, GroupID: groupCatalogue, Short: short, Example: example}
	cmd.AddCommand(subs...)
	return cmd
}

// lister is a subcommand "ls" that reads and prints.
func (c *command) lister(short, example string, run func(ctx context.Context, s *session) error) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer s.close()
			return run(cmd.Context(), s)
		},
	}
}

func (c *command) plan() *cobra.Command {
	return group("plan", "VM sizes and prices", "  hippius plan ls",
		c.lister("List VM sizes with their price per hour, running and stopped", "  hippius plan ls\n  hippius plan ls -o yaml",
			func(ctx context.Context, s *session) error {
				plans, err := s.chain.Plans(ctx)
				if err != nil {
					return err
				}
				views := make([]planView, 0, len(plans))
				for _, p := range plans {
					views = append(views, viewPlan(p))
				}
				return c.print(views, func(w *tableWriter) {
					w.row("PLAN", "VCPU", "MEMORY", "DISK", "IOPS", "DISK SPEED", "NETWORK", "CREDITS/H", "STOPPED/H")
					for _, v := range views {
						w.row(v.Name, fmt.Sprint(v.VCPUs), mib(v.MemoryMiB), fmt.Sprintf("%d GiB", v.DiskGiB), fmt.Sprint(v.IOPS),
							fmt.Sprintf("%d MB/s", v.DiskBytesPerSecond/1_000_000), fmt.Sprintf("%d Mbit/s", v.NetworkBitsPerSec/1_000_000),
							credit.Format(v.RunningPerHour), credit.Format(v.StoppedPerHour))
					}
				})
			}))
}

type imageView struct {
	Name        string   `json:"name"`
	OS          string   `json:"os"`
	Version     string   `json:"version"`
	User        string   `json:"user"`
	Arch        string   `json:"arch"`
	MinDiskGiB  uint64   `json:"min_disk_gib"`
	SizeBytes   uint64   `json:"size_bytes"`
	Format      string   `json:"format"`
	SHA256      string   `json:"sha256"`
	DownloadsAt []string `json:"urls"`
}

func (c *command) image() *cobra.Command {
	return group("image", "Operating system images", "  hippius image ls",
		c.lister("List images", "  hippius image ls\n  hippius image ls -o json", func(ctx context.Context, s *session) error {
			images, err := s.chain.Images(ctx)
			if err != nil {
				return err
			}
			views := make([]imageView, 0, len(images))
			for _, i := range images {
				views = append(views, imageView{
					Name: i.Name, OS: i.OS, Version: i.Version, User: i.User, Arch: i.Arch,
					MinDiskGiB: i.MinDiskGiB(), SizeBytes: i.SizeBytes, Format: i.Format,
					SHA256: hex.EncodeToString(i.SHA256), DownloadsAt: i.URLs,
				})
			}
			return c.print(views, func(w *tableWriter) {
				w.row("IMAGE", "OS", "VERSION", "USER", "ARCH", "LEAST DISK", "DOWNLOAD")
				for _, v := range views {
					w.row(v.Name, v.OS, v.Version, v.User, v.Arch, fmt.Sprintf("%d GiB", v.MinDiskGiB),
						fmt.Sprintf("%.0f MB", float64(v.SizeBytes)/1e6))
				}
			})
		}))
}

type appView struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Images      []string `json:"images,omitempty"`
	Recipe      string   `json:"recipe"`
}

func (c *command) app() *cobra.Command {
	return group("app", "Applications that can be installed on a VM", "  hippius app ls",
		c.lister("List applications", "  hippius app ls\n  hippius app ls -o yaml", func(ctx context.Context, s *session) error {
			apps, err := s.chain.Apps(ctx)
			if err != nil {
				return err
			}
			views := make([]appView, 0, len(apps))
			for _, a := range apps {
				views = append(views, appView{
					Name: a.Name, Description: a.Description, Images: a.Images, Recipe: a.Recipe,
				})
			}
			return c.print(views, func(w *tableWriter) {
				w.row("APP", "IMAGES", "DESCRIPTION")
				for _, v := range views {
					images := strings.Join(v.Images, ", ")
					if images == "" {
						images = "all"
					}
					w.row(v.Name, images, v.Description)
				}
			})
		}))
}
