package webhook

import (
	"errors"
	"regexp"
)

// DefaultName is the name of a receiver whose Options name none.
const DefaultName = "default"

var (
	errName  = errors.New("webhook: a receiver's name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
)

// cleanName checks the name of a receiver; an empty one is DefaultName. Upper case is
// refused, so that two spellings never mean two ledgers.
func cleanName(name string) (string, error) {
	if name == "" {
		return DefaultName, nil
	}
	if !nameForm.MatchString(name) {
		return "", errName
	}
	return name, nil
}

// Name is the receiver's name in the ledger: see Options.Name.
func (r *Receiver) Name() string { return r.name }
