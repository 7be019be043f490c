package record

import (
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

// messagesToVMs keeps in JSON what was kept as the chain's messages. One that cannot be read fails the migration, as it
// failed every look at the VMs before.
func messagesToVMs(tx *store.Tx, decode func([]byte) (vm.VM, error)) error {
	const bucket = "agent_vms"
	vms := store.NewBucket[vm.VM](bucket)
	return store.NewBlobs(bucket).Each(tx, "", func(key string, message []byte) error {
		v, err := decode(message)
		if err == nil && string(v.ID) != key {
			err = fmt.Errorf("it is of VM %s", v.ID)
		}
		if err != nil {
			return fmt.Errorf("VM %s as it was stored: %w", key, err)
		}
		return vms.Put(tx, key, v)
	})
}
