package booking_test

import (
	"archive/zip"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// M30: a zone is a name that every machine knows; what only some systems have is refused,
// also where the system at hand has it.
func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Paris", "UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "US/Eastern",
		"Asia/Calcutta"} {
		zone, err := booking.LoadZone(name)
		require.NoError(t, err)
		require.Equal(t, name, zone.String())
	}
	for _, name := range []string{
		"", "Local", "local", "localtime", "posixrules", "Factory", "right/UTC", "right/Europe/Paris",
		"posix/Europe/Paris",
		"europe/paris", "EUROPE/PARIS", "Europe/paris", "Europe/Paris ", " Europe/Paris", "Europe/Paris\n",
		"/Europe/Paris",
		"Europe//Paris", "Europe/./Paris", "Europe/../Europe/Paris", "../zoneinfo/Europe/Paris", "Europe", "Europe/",
		"leapseconds",
		"zone.tab", "tzdata.zi", "+01:00", "CEST", "UTC+1", "Nowhere/City", strings.Repeat("a", 5000),
		"Europe/Paris\x00",
	} {
		_, err := booking.LoadZone(name)
		require.Error(t, err, name)
		err = booking.Resource{Slug: "court", Name: "Court", TimeZone: name, SlotLength: time.Hour,
			Price: booking.Money{Currency: "eur"}}.Validate()
		var refused *booking.ValidationError
		require.ErrorAs(t, err, &refused, name)
		require.Contains(t, refused.Fields, "timeZone", name)
	}
}

// The list is that of the zone database which comes with Go.
func TestLoadZone_ListIsComplete(t *testing.T) {
	t.Parallel()
	root, err := osexec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer func() { _ = archive.Close() }()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	listed := strings.Fields(booking.ZoneNames)
	slices.Sort(listed)
	require.Equal(t, names, listed, "booking/zones.txt has the names of lib/time/zoneinfo.zip, without Factory")
}
