package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
)

// checkOrder refuses a machine that the chain would refuse, before a
// passphrase is asked for and secrets are dealt. The chain has the last word.
func (s *session) checkOrder(ctx context.Context, name string, f createFlags) error {
	if err := text.ValidName("machine name", name); err != nil {
		return usageError{err}
	}
	plan, err := s.choosePlan(ctx, f.plan)
	if err != nil {
		return err
	}
	// A price can be asked for before an image is chosen.
	if f.image != "" || !f.dryRun {
		if err := s.checkImage(ctx, plan, f.image, f.apps); err != nil {
			return err
		}
	}
	if f.region != "" {
		if err := s.checkRegion(ctx, f.region); err != nil {
			return err
		}
	}
	if _, err := s.operators(ctx, f.miners); err != nil {
		return err
	}
	_, err = s.chain.VMByName(ctx, s.address, name)
	switch {
	case err == nil:
		return withHint(fmt.Errorf("you have a machine named %q; choose another name", name), "see 'hippius vm ls'")
	case errors.Is(err, client.ErrNotFound):
		return nil
	default:
		return err
	}
}

// choosePlan finds the plan, or says which there are.
func (s *session) choosePlan(ctx context.Context, name string) (plan.Plan, error) {
	plans, err := s.chain.Plans(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	names := make([]string, len(plans))
	for i, p := range plans {
		if names[i] = p.Plan.Name; names[i] == name {
			return p.Plan, nil
		}
	}
	return plan.Plan{}, unknown("plan", name, names)
}

// checkImage wants the image and the applications to be there, to go together, and to fit on the plan's disk.
func (s *session) checkImage(ctx context.Context, plan plan.Plan, name string, apps []string) error {
	images, err := s.chain.Images(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(images))
	for i, im := range images {
		names[i] = im.Name
	}
	at := slices.Index(names, name)
	if at < 0 {
		return unknown("image", name, names)
	}
	if need := (images[at].VirtualSizeBytes + gib - 1) / gib; need > plan.DiskGiB {
		return withHint(fmt.Errorf("image %q needs a disk of %d GiB; plan %q has %d GiB: choose a larger plan",
			name, need, plan.Name, plan.DiskGiB), "see 'hippius plan ls'")
	}
	if len(apps) == 0 {
		return nil
	}
	offered, err := s.chain.Apps(ctx)
	if err != nil {
		return err
	}
	return checkApps(offered, apps, name)
}

func checkApps(offered []plan.App, wanted []string, image string) error {
	names := make([]string, len(offered))
	for i, a := range offered {
		names[i] = a.Name
	}
	for _, name := range wanted {
		at := slices.Index(names, name)
		if at < 0 {
			return unknown("app", name, names)
		}
		if on := offered[at].Images; len(on) > 0 && !slices.Contains(on, image) {
			return withHint(fmt.Errorf("application %q does not work on image %q; it works on %s", name, image, strings.Join(on, ", ")),
				"see 'hippius app ls'")
		}
	}
	return nil
}

// unknown says what there is instead of what was asked for, or that nothing was.
func unknown(what, name string, there []string) error {
	see := "hippius " + what + " ls"
	if what == "region" {
		see = "hippius miner ls"
	}
	list := "there are none yet"
	if len(there) > 0 {
		list = "there are: " + strings.Join(there, ", ")
	}
	if name == "" {
		return withHint(usagef("which %s? Give one with --%s; %s", what, what, list), "'%s' tells more", see)
	}
	return withHint(fmt.Errorf("there is no %s %q; %s", what, name, list), "see '%s'", see)
}

// checkRegion wants a region that some active miner is in.
func (s *session) checkRegion(ctx context.Context, region string) error {
	miners, err := s.chain.Miners(ctx)
	if err != nil {
		return err
	}
	var there []string
	for _, m := range miners {
		if m.Status == node.Active {
			there = append(there, m.Region)
		}
	}
	if slices.Contains(there, region) {
		return nil
	}
	slices.Sort(there)
	return unknown("region", region, slices.Compact(there))
}
