package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
)

// httpHolds: holds through the host. Free bookings are confirmed at once, so each takes
// four statements.
func (b *bench) httpHolds(ctx context.Context) error {
	return b.overHTTP(ctx, "httpholds", "holds through HTTP, free of charge and so confirmed, 32 clients", false)
}

func (b *bench) httpRefusals(ctx context.Context) error {
	return b.overHTTP(ctx, "httprefusals", "refusals through HTTP of one slot, 32 clients", true)
}

func (t *track) holdBody(resource, minute int) string {
	return fmt.Sprintf(`{"resource":"r%d","start":%q,"party":1,`+
		`"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`,
		resource, t.start.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339))
}

func (b *bench) overHTTP(ctx context.Context, name, title string, sameSlot bool) (err error) {
	t, err := b.track(ctx, name)
	if err != nil {
		return err
	}
	program, err := hostprocess.Build(ctx, b.dir)
	if err != nil {
		return err
	}
	text, err := b.capturedHTTP(ctx, t, program, sameSlot)
	if err != nil {
		return err
	}
	h, err := b.startHost(ctx, program, b.server.url(t.name, false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Stop()) }()
	return b.race(ctx, title, []contender{
		{"pgbench, prepared, unix socket",
			func(ctx context.Context) (float64, error) { return b.pgbench(ctx, t.name, text) }},
		{"the host, HTTP, and TCP to Postgres", func(ctx context.Context) (float64, error) {
			// Reconnect in each round, as the host closes idle connections.
			all := make([]*client, clients)
			for n := range all {
				if all[n], err = dial(h.Address); err != nil {
					return 0, err
				}
				defer func() { _ = all[n].Close() }()
			}
			return b.crowd(ctx, t.name, func(_ context.Context, n int) error {
				resource, minute := 1, 0
				if !sameSlot {
					resource, minute = randomSlot()
				}
				status, answer, err := all[n].post("/api/bookings", t.holdBody(resource, minute))
				if err == nil && status != http.StatusConflict && (sameSlot || status != http.StatusCreated) {
					err = fmt.Errorf("status %d: %.200s", status, answer)
				}
				return err
			})
		}},
	})
}

// capturedHTTP returns the script of the host's statements for one request, with cached
// rules.
func (b *bench) capturedHTTP(ctx context.Context, t *track, program string, sameSlot bool) (text string, err error) {
	tap, url, err := newTap(b.server.url(t.name, false))
	if err != nil {
		return "", err
	}
	defer tap.close()
	h, err := b.startHost(ctx, program, url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, h.Stop()) }()
	c, err := dial(h.Address)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	var held struct{ ID string }
	request := func(minute, want int) ([]statement, error) {
		tap.take()
		status, answer, err := c.post("/api/bookings", t.holdBody(1, minute))
		if err != nil || status != want {
			return nil, errors.Join(err, fmt.Errorf("status %d: %.200s", status, answer))
		}
		if err := json.Unmarshal([]byte(answer), &held); err != nil {
			return nil, err
		}
		return withoutBackground(tap.take()), nil
	}
	if _, err := request(0, http.StatusCreated); err != nil {
		return "", err
	}
	// Background work may send statements meanwhile: two requests in a row must send the
	// same ones.
	var sent, before []statement
	minute, want := 0, http.StatusConflict
	for n := 1; n == 1 || !sameQueries(sent, before); n++ {
		if n > 50 {
			return "", errors.New("no two requests send the same statements")
		}
		if !sameSlot {
			minute, want = n, http.StatusCreated
		}
		before = sent
		if sent, err = request(minute, want); err != nil {
			return "", err
		}
	}
	id := held.ID
	if sameSlot {
		id = ""
	}
	// Times are relative to the requested slot.
	start := t.start.Add(time.Duration(minute) * time.Minute)
	return script(sent, t.values(id, "ada@example.com"), start, sameSlot), nil
}

// withoutBackground leaves out statements of the host's background steps and limits.
func withoutBackground(all []statement) (sent []statement) {
	for _, s := range all {
		if !strings.Contains(s.query, "hold_deadlines d") && !strings.Contains(s.query, "booking_platform.sessions") &&
			!strings.Contains(s.query, "booking_platform.rate_limits") {
			sent = append(sent, s)
		}
	}
	return sent
}

func sameQueries(a, b []statement) bool {
	return slices.EqualFunc(a, b, func(a, b statement) bool { return a.query == b.query })
}
