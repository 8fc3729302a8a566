package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed booking/*.sql webhook/*.sql payments/*.sql auth/*.sql host/*.sql
//go:embed notify/*.sql bookingmail/*.sql
var files embed.FS

// Set names the tables of packages. Sets combine with |, and include those that their
// tables refer to.
type Set uint8

const (
	// Booking: resources, opening hours, bookings, deadlines of holds. It needs the
	// extension btree_gist.
	Booking Set = 1 << iota
	// Webhook: the ledger of Stripe events.
	Webhook
	// Payments: the payments. It includes Booking and Webhook.
	Payments
	// Auth: users, sessions, limits on logins.
	Auth
	// Host: the reference host's maintenance switch and schema floor. No package uses it.
	Host
	// Notify: the outbox of messages. It works without the other sets.
	Notify
	// BookingMail: triggers that put changes of bookings and payments into the outbox. It
	// includes Payments and Notify.
	BookingMail
	// All is everything that the host needs.
	All = Booking | Webhook | Payments | Auth | Host | Notify | BookingMail
)

// In the order of application: payments refers to bookings.
var ordered = []struct {
	set  Set
	name string
}{{Booking, "booking"}, {Webhook, "webhook"}, {Payments, "payments"}, {Auth, "auth"}, {Host, "host"},
	{Notify, "notify"}, {BookingMail, "bookingmail"}}

// names is in the order of application, and has included sets.
func (s Set) names() ([]string, error) {
	if s == 0 || s&^All != 0 {
		return nil, fmt.Errorf("migrations: unknown set %d", s)
	}
	if s&BookingMail != 0 {
		s |= Payments | Notify
	}
	if s&Payments != 0 {
		s |= Booking | Webhook
	}
	var names []string
	for _, o := range ordered {
		if s&o.set != 0 {
			names = append(names, o.name)
		}
	}
	return names, nil
}

func (s Set) String() string {
	names, err := s.names()
	if err != nil {
		return "no set"
	}
	return strings.Join(names, ", ")
}

// FS returns the migration files for another tool: one folder per set (booking, webhook,
// payments, auth, host, notify, bookingmail), to be applied in that order, with numbered
// SQL files in goose's format. Each creates the schema if it is missing and records its
// version in booking_platform.schema_versions, which [Check] reads.
//
// goose reads them, with one provider per folder; golang-migrate finds none, because
// their names do not end in .up.sql. Another tool has to know goose's marks.
//
// Every folder begins with version 1, so each needs a version table of its own. [Up] does
// not know what another tool has applied and would apply it again: do not mix the two,
// and do not go back to Up later.
func FS() fs.FS { return files }

// Migration is a file of a set, and whether it was applied.
type Migration struct {
	// Set is the file's folder, such as "booking".
	Set string
	// Version is the file's number, within its set.
	Version int
	// File is the path within [FS].
	File    string
	Applied bool
}

func list(source fs.FS, set string) ([]Migration, error) {
	entries, err := fs.ReadDir(source, set)
	if err != nil {
		return nil, fmt.Errorf("migrations: read set %s: %w", set, err)
	}
	var out []Migration
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("migrations: %s/%s does not begin with a number: %w", set, e.Name(), err)
		}
		out = append(out, Migration{Set: set, Version: version, File: path.Join(set, e.Name())})
	}
	return out, nil
}
