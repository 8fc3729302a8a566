package output

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/migrations"
)

type migrationJSON struct {
	Set     string `json:"set"`
	Version int    `json:"version"`
	File    string `json:"file"`
	Applied bool   `json:"applied"`
}

func newMigrationJSON(m migrations.Migration) migrationJSON {
	return migrationJSON{m.Set, m.Version, m.File, m.Applied}
}

// Migrations prints migrations and their state.
func (p Printer) Migrations(all []migrations.Migration) error {
	var rows [][]string
	var lines []migrationJSON
	for _, m := range all {
		state := "applied"
		if !m.Applied {
			state = "pending"
		}
		rows = append(rows, []string{m.Set, strconv.Itoa(m.Version), state, m.File})
		lines = append(lines, newMigrationJSON(m))
	}
	if p.JSON {
		return printJSON(p.Out, lines...)
	}
	return printTable(p.Out, []string{"SET", "VERSION", "STATE", "FILE"}, rows)
}

// Migrated prints an applied migration.
func (p Printer) Migrated(m migrations.Migration) error {
	m.Applied = true
	return p.Line("applied "+m.File, newMigrationJSON(m))
}

// NothingMigrated prints no line as JSON.
func (p Printer) NothingMigrated() error {
	if p.JSON {
		return nil
	}
	_, err := fmt.Fprintln(p.Out, "nothing to apply")
	return err
}

type maintenanceJSON struct {
	On     bool       `json:"on"`
	Since  *time.Time `json:"since,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// Maintenance prints the maintenance switch.
func (p Printer) Maintenance(on bool, since time.Time, reason string) error {
	if !on {
		return p.Line("maintenance: off", maintenanceJSON{})
	}
	text := "maintenance: on since " + formatTime(since)
	if reason != "" {
		text += ": " + Escape(OneLine(reason))
	}
	return p.Line(text, maintenanceJSON{on, &since, reason})
}

type userJSON struct {
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	Active    bool      `json:"active"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Users prints users.
func (p Printer) Users(users ...auth.Account) error {
	var rows [][]string
	var lines []userJSON
	for _, u := range users {
		state := "active"
		if !u.Active {
			state = "disabled"
		}
		rows = append(rows, []string{u.Email, u.Role, state, u.UpdatedAt.Format("2006-01-02 15:04Z")})
		lines = append(lines, userJSON{u.Email, u.Role, u.Active, u.UpdatedAt})
	}
	if p.JSON {
		return printJSON(p.Out, lines...)
	}
	return printTable(p.Out, []string{"EMAIL", "ROLE", "STATE", "SINCE"}, rows)
}

// Links prints bookings with their links in batches.
type Links struct {
	Printer
	// URL is a booking's link.
	URL     func(id, token string) string
	pending []booking.Booking
	headed  bool
}

type linkJSON struct {
	ID        string    `json:"id"`
	Start     time.Time `json:"start"`
	FirstName string    `json:"firstName"`
	LastName  string    `json:"lastName"`
	Email     string    `json:"email"`
	Link      string    `json:"link"`
}

// Add adds a booking to the batch.
func (p *Links) Add(b booking.Booking) { p.pending = append(p.pending, b) }

// Flush prints the batch.
func (p *Links) Flush() error {
	var rows [][]string
	var lines []linkJSON
	for _, b := range p.pending {
		link := p.URL(b.ID, b.OwnerToken)
		rows = append(rows, []string{b.ID, formatTime(b.Start), Escape(b.Customer.Email), link})
		lines = append(lines, linkJSON{b.ID, b.Start, b.Customer.FirstName, b.Customer.LastName, b.Customer.Email,
			link})
	}
	p.pending = nil
	if p.JSON {
		return printJSON(p.Out, lines...)
	}
	header := []string{"BOOKING", "START", "E-MAIL", "LINK"}
	if len(rows) == 0 || p.headed {
		header = nil
	}
	p.headed = p.headed || header != nil
	return printTable(p.Out, header, rows)
}

// Findings prints each finding with its remedy below it, and the sums.
func (p Printer) Findings(found []doctor.Finding) error {
	if p.JSON {
		return printJSON(p.Out, found...)
	}
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(p.Out, format, args...)
		errs = append(errs, err)
	}
	for _, f := range found {
		say("%-7s  %s: %s\n", f.Level, f.Name, Escape(OneLine(f.Found)))
		if f.Remedy != "" {
			say("         -> %s\n", Escape(OneLine(f.Remedy)))
		}
	}
	say("\n%s, %s; docs/doctor.md explains each\n", Plural(doctor.Count(found, doctor.Problem), "problem"),
		Plural(doctor.Count(found, doctor.Warning), "warning"))
	return errors.Join(errs...)
}
