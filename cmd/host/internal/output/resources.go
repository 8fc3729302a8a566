package output

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
)

type appliedJSON struct {
	Slug     string       `json:"slug"`
	Result   string       `json:"result"`
	Changes  []changeJSON `json:"changes,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	DryRun   bool         `json:"dryRun,omitempty"`
}

type changeJSON struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// Applied prints one resource's changes and warnings.
func (p Printer) Applied(a booking.Applied, dry bool) error {
	result := "changed"
	switch {
	case a.Created:
		result = "created"
	case len(a.Changes) == 0:
		result = "unchanged"
	}
	warnings := a.Resource.Warnings()
	if p.JSON {
		line := appliedJSON{Slug: a.Resource.Slug, Result: result, DryRun: dry}
		for _, w := range warnings {
			line.Warnings = append(line.Warnings, w.String())
		}
		for _, change := range a.Changes {
			line.Changes = append(line.Changes, changeJSON{change.Field, change.From, change.To})
		}
		return printJSON(p.Out, line)
	}
	fmt.Fprintf(p.Out, "%s: %s\n", a.Resource.Slug, result)
	for _, change := range a.Changes {
		switch {
		case change.From == "":
			fmt.Fprintf(p.Out, "  + %s: %s\n", change.Field, truncate(change.To))
		case change.To == "":
			fmt.Fprintf(p.Out, "  - %s: %s\n", change.Field, truncate(change.From))
		default:
			fmt.Fprintf(p.Out, "  ~ %s: %s -> %s\n", change.Field, truncate(change.From), truncate(change.To))
		}
	}
	for _, w := range warnings {
		fmt.Fprintf(p.Out, "  warning: %s\n", w)
	}
	return nil
}

// Refusal names the resource and, for too small a capacity, the bookings in the way.
func Refusal(r booking.Resource, err error) error {
	var small *booking.CapacityError
	if !errors.As(err, &small) {
		return fmt.Errorf("%s: %w", r.Slug, err)
	}
	zone, zoneErr := r.Zone()
	if zoneErr != nil {
		zone = time.UTC
	}
	lines := []string{fmt.Sprintf("%s: %v; these bookings prevent it (times in %s):", r.Slug, small, zone)}
	for _, b := range small.Bookings {
		lines = append(lines, fmt.Sprintf("  %s  %s to %s  party %d  %s", b.ID,
			b.Start.In(zone).Format("2006-01-02 15:04"), b.End.In(zone).Format("2006-01-02 15:04"), b.Party, b.Status))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// The price is in minor units.
type resourceJSON struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Capacity int    `json:"capacity"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Offers   int    `json:"offers"`
	TimeZone string `json:"timeZone"`
	Active   bool   `json:"active"`
}

// Resources prints a list of resources.
func (p Printer) Resources(all []booking.Resource) error {
	var rows [][]string
	var lines []resourceJSON
	for _, r := range all {
		rows = append(rows, []string{r.Slug, truncate(r.Name), strconv.Itoa(r.Capacity), r.Price.String(),
			strconv.Itoa(len(r.Offers)), r.TimeZone, yesNo(!r.Inactive)})
		lines = append(lines, resourceJSON{r.Slug, r.Name, r.Capacity, r.Price.Minor, r.Price.Currency,
			len(r.Offers), r.TimeZone, !r.Inactive})
	}
	if p.JSON {
		return printJSON(p.Out, lines...)
	}
	return printTable(p.Out, []string{"SLUG", "NAME", "CAPACITY", "PRICE", "OFFERS", "TIME ZONE", "ACTIVE"}, rows)
}

// ResourceFile prints what resourcefile reads.
func (p Printer) ResourceFile(resources []booking.Resource) error {
	if !p.JSON {
		return resourcefile.Write(p.Out, resources...)
	}
	for _, r := range resources {
		var text bytes.Buffer
		if err := resourcefile.Write(&text, r); err != nil {
			return err
		}
		var fields map[string]any
		if err := yaml.Unmarshal(text.Bytes(), &fields); err != nil {
			return err
		}
		if err := printJSON(p.Out, fields); err != nil {
			return err
		}
	}
	return nil
}
