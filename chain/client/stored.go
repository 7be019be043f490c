package client

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/core/vm"
)

// DecodeStoredVM reads a VM from the chain's message as miners kept it in the first schema of their database.
func DecodeStoredVM(message []byte) (vm.VM, error) {
	var v computev1.VM
	if err := proto.Unmarshal(message, &v); err != nil {
		return vm.VM{}, fmt.Errorf("decode VM: %w", err)
	}
	return one("VM "+v.GetId(), nil, &v, decodeVM)
}
