package tenant

import (
	"context"
	"slices"
	"strings"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// Check refuses a VM that the chain would refuse, before secrets are dealt; the
// chain has the last word. request is what Spec takes; with priceOnly it may
// lack an image. Errors are a Fault, an UnknownError, or those of the chain.
func (r *Reader) Check(ctx context.Context, request vm.Spec, priceOnly bool) error {
	if err := text.ValidName("VM name", request.Name); err != nil {
		return fault(BadName, "", "%v", err)
	}
	p, err := r.plan(ctx, request.Plan)
	if err != nil {
		return err
	}
	if request.Image != "" || !priceOnly {
		if err := r.checkImage(ctx, p, request.Image, request.Apps); err != nil {
			return err
		}
	}
	if request.Region != "" {
		if err := r.checkRegion(ctx, request.Region); err != nil {
			return err
		}
	}
	if _, err := r.operators(ctx, request.Miners); err != nil {
		return err
	}
	_, found, err := r.chain.VMByName(ctx, r.account, request.Name)
	if err == nil && found {
		return fault(NameTaken, request.Name, "you have a VM named %q; choose another name", request.Name)
	}
	return err
}

// Spec is what to order for a request, which may name miners as people do and leave out the SSH keys for all of the account's.
func (r *Reader) Spec(ctx context.Context, request vm.Spec) (vm.Spec, error) {
	if len(request.SSHKeys) == 0 {
		all, err := r.chain.SSHKeys(ctx, r.account)
		if err != nil {
			return vm.Spec{}, err
		}
		for _, k := range all {
			request.SSHKeys = append(request.SSHKeys, k.Name)
		}
	}
	if len(request.SSHKeys) == 0 {
		return vm.Spec{}, fault(NoKey, "", "the account has no SSH key, so nobody could log in")
	}
	var err error
	request.Miners, err = r.operators(ctx, request.Miners)
	return request, err
}

// CheckRebuild looks whether a VM may be rebuilt from an image, which fits it, and somebody could log in: with the keys
// named, or those the VM has. Errors are Check's.
func (r *Reader) CheckRebuild(ctx context.Context, v vm.VM, image string, keys []string) error {
	if len(keys) == 0 && len(v.Spec.SSHKeys) == 0 {
		return fault(KeysRemoved, v.Spec.Name,
			"every SSH key of %s was removed from the account, and a rebuild does not install removed keys", v.Spec.Name)
	}
	for _, name := range keys {
		if _, err := r.SSHKey(ctx, name); err != nil {
			return err
		}
	}
	if err := r.checkImage(ctx, plan.Plan{Name: v.Spec.Plan, Size: v.WantedSize()}, image, v.Spec.Apps); err != nil {
		return err
	}
	return allowed(v, vm.Rebuild)
}

// allowed says in the chain's words why a VM cannot be asked for something as it is.
func allowed(v vm.VM, ev vm.Event) error {
	if _, err := vm.Next(v.State(), ev, vm.Tenant); err != nil {
		return fault(WrongPhase, v.Spec.Name, "%v", err)
	}
	return nil
}

// SSHKey of the account by its name.
func (r *Reader) SSHKey(ctx context.Context, name string) (vm.SSHKey, error) {
	keys, err := r.chain.SSHKeys(ctx, r.account)
	if err != nil {
		return vm.SSHKey{}, err
	}
	for _, k := range keys {
		if k.Name == name {
			return k, nil
		}
	}
	return vm.SSHKey{}, fault(UnknownKey, "", "the account has no SSH key %q", name)
}

// plan of a name.
func (r *Reader) plan(ctx context.Context, name string) (plan.Plan, error) {
	plans, err := r.chain.Plans(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	names := make([]string, len(plans))
	for i, p := range plans {
		if names[i] = p.Name; names[i] == name {
			return p.Plan, nil
		}
	}
	return plan.Plan{}, &UnknownError{What: "plan", Name: name, There: names}
}

// checkImage wants the image and the applications to be there, to go together, and to fit on the plan's disk.
func (r *Reader) checkImage(ctx context.Context, p plan.Plan, name string, apps []string) error {
	images, err := r.chain.Images(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(images))
	for i, im := range images {
		names[i] = im.Name
	}
	at := slices.Index(names, name)
	if at < 0 {
		return &UnknownError{What: "image", Name: name, There: names}
	}
	if need := images[at].MinDiskGiB(); need > p.DiskGiB {
		return fault(ImageTooLarge, "", "image %q needs a disk of %d GiB; plan %q has %d GiB: choose a larger plan", name, need, p.Name, p.DiskGiB)
	}
	if len(apps) == 0 {
		return nil
	}
	offered, err := r.chain.Apps(ctx)
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
			return &UnknownError{What: "app", Name: name, There: names}
		}
		if !offered[at].WorksOn(image) {
			return fault(AppImage, "", "application %q does not work on image %q; it works on %s", name, image, strings.Join(offered[at].Images, ", "))
		}
	}
	return nil
}

// checkRegion wants a region that some active miner is in.
func (r *Reader) checkRegion(ctx context.Context, region string) error {
	miners, err := r.chain.Miners(ctx)
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
	return &UnknownError{What: "region", Name: region, There: slices.Compact(there)}
}
