package doctor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// M24.
func TestExamine_Prices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ set, want string }{
		"above the most":               {`price_minor = 100000000`, "problem prices"},
		"a party above the most":       {`price_minor = 99999999, capacity = 2`, "problem prices"},
		"unknown currency":             {`currency = 'xyz'`, "problem prices"},
		"fraction of a króna":          {`currency = 'isk', price_minor = 2550`, "problem prices"},
		"fee that cannot be kept":      {`currency = 'kwd', policy = '{"fee_minor": 5}'`, "problem prices"},
		"below the least":              {`price_minor = 25`, "warning prices"},
		"free of charge":               {`price_minor = 0`, ""},
		"below the least, not on sale": {`price_minor = 25, active = false`, "warning resources"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`UPDATE booking_platform.resources SET ` + c.set)
			found := w.examine()
			require.Equal(t, c.want, strings.Join(amiss(found), ","), whole(found))
		})
	}
}
