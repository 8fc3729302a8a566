package booking

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"time"
	// The zone database that is used where the system has none, or lacks a name.
	_ "time/tzdata"
)

// zoneNames are the names of the zone database that is part of Go, one a line, without
// Factory. A name outside the list may mean something on one machine and nothing on
// another: Local and localtime are the machine's setting, right/… counts leap seconds, and
// posix/… exists on some systems only.
//
//go:embed zones.txt
var zoneNames string

var knownZones = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for name := range strings.Lines(zoneNames) {
		known[strings.TrimSpace(name)] = true
	}
	return known
})

// LoadZone returns the IANA time zone of that name. It accepts the names that the zone
// database of Go has, in their exact spelling, and no other, so that all replicas and all
// machines accept the same. The zone's rules are the system's where the system has them,
// and those linked into the program otherwise.
func LoadZone(name string) (*time.Location, error) {
	if !knownZones()[name] {
		return nil, fmt.Errorf("booking: %.100q is not an IANA time zone", name)
	}
	return time.LoadLocation(name)
}

// Zone returns the resource's time zone. The error is that of [LoadZone].
func (r Resource) Zone() (*time.Location, error) { return LoadZone(r.TimeZone) }
