package resourcefile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// units are those of a duration, the longest first. A day is 24 hours.
var units = []struct {
	name   string
	length time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

var durationForm = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,7})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?$`)

// parseDuration reads a duration such as "45m", "1h30m" or "14d".
func parseDuration(text string) (time.Duration, error) {
	found := durationForm.FindStringSubmatch(text)
	if found == nil || text == "" {
		return 0, fmt.Errorf("is %q, not a duration such as 45m, 1h30m or 14d", text)
	}
	var sum time.Duration
	for i, unit := range units {
		// What the form allows can be added up without overflow.
		n, _ := strconv.ParseInt(found[i+1], 10, 64)
		sum += time.Duration(n) * unit.length
	}
	return sum, nil
}

// formatDuration writes what parseDuration reads, in whole seconds.
func formatDuration(d time.Duration) string {
	var out strings.Builder
	for _, unit := range units {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, unit.name)
			d %= unit.length
		}
	}
	if out.Len() == 0 {
		return "0s"
	}
	return out.String()
}
