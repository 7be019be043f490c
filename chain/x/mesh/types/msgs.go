package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/text"
)

const (
	// KeySize of a CA's public key, in bytes.
	KeySize = 32
	// FingerprintSize of a certificate, in bytes.
	FingerprintSize = 32
	// MaxCertificate is the longest CA certificate, in bytes.
	MaxCertificate = mesh.MaxCertificate
	// MaxRevocationsPerMessage bounds one MsgRevoke.
	MaxRevocationsPerMessage = 64
	// MaxLighthouses bounds how many lighthouses every client has to list.
	MaxLighthouses = 1024
	maxEndpoints   = mesh.MaxEndpoints
	// MaxRentDays is how far a lighthouse's rent may be paid in advance.
	MaxRentDays = 366
	// UnpaidDays are given to a lighthouse of a genesis from before there was a rent.
	UnpaidDays = 30
	// DaySeconds of a day of rent.
	DaySeconds = 24 * 3600
)

// ValidateBasic checks the form of a registration.
func (m *MsgRegisterTenant) ValidateBasic() error {
	if err := address("owner", m.Owner); err != nil {
		return err
	}
	if n := len(m.CaPublicKey); n != KeySize {
		return ErrInvalid.Wrapf("the CA's public key has %d bytes; an Ed25519 key has %d", n, KeySize)
	}
	return nil
}

// ValidateBasic checks the form of a CA certificate's setting; what it says, lighthouses judge.
func (m *MsgSetTenantCA) ValidateBasic() error {
	if err := address("owner", m.Owner); err != nil {
		return err
	}
	if len(m.Certificate) == 0 {
		return ErrInvalid.Wrapf("the CA certificate is missing; accepted are 1 to %d bytes", MaxCertificate)
	}
	return certificate(m.Certificate)
}

// ValidateBasic checks the form of a device's addition.
func (m *MsgAddDevice) ValidateBasic() error { return ownerAndName(m.Owner, m.Name) }

// ValidateBasic checks the form of a device's removal.
func (m *MsgRemoveDevice) ValidateBasic() error { return ownerAndName(m.Owner, m.Name) }

// ValidateBasic checks the form of revocations.
func (m *MsgRevoke) ValidateBasic() error {
	if err := address("owner", m.Owner); err != nil {
		return err
	}
	if n := len(m.Fingerprints); n == 0 || n > MaxRevocationsPerMessage {
		return ErrInvalid.Wrapf("%d fingerprints to revoke; accepted are 1 to %d", n, MaxRevocationsPerMessage)
	}
	for _, f := range m.Fingerprints {
		if len(f) != FingerprintSize {
			return ErrInvalid.Wrapf("a fingerprint has %d bytes; it needs exactly %d", len(f), FingerprintSize)
		}
	}
	return nil
}

// ValidateBasic checks the form of a lighthouse's registration.
func (m *MsgRegisterLighthouse) ValidateBasic() error {
	if m.Days > MaxRentDays {
		return ErrInvalid.Wrapf("%d days of rent; accepted are 0 to %d", m.Days, MaxRentDays)
	}
	return Lighthouse{Operator: m.Operator, Name: m.Name, CaCertificate: m.CaCertificate, Endpoints: m.Endpoints}.validate()
}

func (l Lighthouse) validate() error {
	if err := address("operator", l.Operator); err != nil {
		return err
	}
	if err := text.ValidName("lighthouse name", l.Name); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if err := certificate(l.CaCertificate); err != nil {
		return err
	}
	if n := len(l.Endpoints); n == 0 || n > maxEndpoints {
		return ErrInvalid.Wrapf("%d endpoints named; accepted are 1 to %d", n, maxEndpoints)
	}
	for _, e := range l.Endpoints {
		if err := node.ValidEndpoint(e); err != nil {
			return ErrInvalid.Wrap(err.Error())
		}
	}
	return nil
}

// ValidateBasic checks the form of a lighthouse's removal.
func (m *MsgRemoveLighthouse) ValidateBasic() error { return address("operator", m.Operator) }

// ValidateBasic checks the form of a change of parameters.
func (m *MsgUpdateParams) ValidateBasic() error {
	if err := address("authority", m.Authority); err != nil {
		return err
	}
	return m.Params.Validate()
}

func ownerAndName(owner, name string) error {
	if err := address("owner", owner); err != nil {
		return err
	}
	if err := text.ValidName("device name", name); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func address(what, s string) error {
	if _, err := account.Parse(what, s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func certificate(c []byte) error {
	if len(c) > MaxCertificate {
		return ErrInvalid.Wrapf("the CA certificate has %d bytes; at most %d", len(c), MaxCertificate)
	}
	return nil
}
