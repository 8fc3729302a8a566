package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/hostprocess"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// settings has the slow connections and their addresses, and deliveries a second.
type settings struct {
	slow, addresses, forged, genuine int
	length                           time.Duration
}

type result struct {
	took       []time.Duration
	failed     []string
	open, cut  int64
	refused    map[int]int64
	rate       float64
	now, peak  float64
	logLines   int
	settled    int
	slowAsked  int
	accessSeen int
}

func (s result) String() string {
	ms := func(share float64) float64 {
		if len(s.took) == 0 {
			return 0
		}
		return float64(s.took[int(share*float64(len(s.took)-1))].Microseconds()) / 1000
	}
	return fmt.Sprintf("  genuine: %d answered 200 (%d failed), p50 %.1f ms, p99 %.1f ms, max %.1f ms\n"+
		"  slow: %d of %d open at the end, %d times closed by the host; forged: %.0f answered a second %v\n"+
		"  host: VmRSS %.0f MB, VmHWM %.0f MB; log %d lines, %d of refused deliveries\n",
		len(s.took), len(s.failed), ms(0.5), ms(0.99), ms(1), s.open, s.slowAsked, s.cut, s.rate, s.refused, s.now,
		s.peak, s.logLines, s.accessSeen)
}

// run returns after the last genuine event.
func run(ctx context.Context, h *hostprocess.Process, databaseURL string, s settings) (result, error) {
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = db.Close() }()
	events := int(s.length.Seconds() * float64(s.genuine))
	sessions, err := book(ctx, h, db, events)
	if err != nil {
		return result{}, err
	}
	seen := result{slowAsked: s.slow}
	var others *attackers
	if s.slow > 0 || s.forged > 0 {
		if others, err = startAttackers(ctx, attack{h.Address, s.slow, s.addresses, s.forged}); err != nil {
			return result{}, err
		}
	}
	began := time.Now()

	var mu sync.Mutex
	var genuine sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(s.genuine))
	defer tick.Stop()
	for i, session := range sessions {
		select {
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		case <-tick.C:
		}
		genuine.Go(func() {
			sent := time.Now()
			err := deliver(ctx, h.Address, fmt.Sprintf("evt_%d_%d", began.UnixNano(), i), session)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				seen.failed = append(seen.failed, err.Error())
				return
			}
			seen.took = append(seen.took, time.Since(sent))
		})
	}
	genuine.Wait()
	lasted := time.Since(began)
	seen.now, seen.peak = h.Memory()
	if others != nil {
		c, err := others.stop()
		if err != nil {
			return result{}, err
		}
		seen.open, seen.cut, seen.refused = c.Open, c.Cut, c.Refused
		for _, n := range c.Refused {
			seen.rate += float64(n) / lasted.Seconds()
		}
	}
	slices.Sort(seen.took)
	seen.logLines = lines(h.Log, "")
	seen.accessSeen = lines(h.Log, `"status":400`) + lines(h.Log, `"status":429`) + lines(h.Log, `"requests refused"`)
	err = db.QueryRow(`SELECT count(*) FROM booking_platform.payment_events e
		WHERE e.outcome = 'processed' AND e.stripe_event_id LIKE $1`,
		fmt.Sprintf("evt_%d_%%", began.UnixNano())).Scan(&seen.settled)
	return seen, err
}

func deliver(ctx context.Context, address, id, session string) error {
	c, err := dialFrom(ctx, net.IPv4(127, 0, 0, 1), address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	body := event(id, session)
	status, answer, err := post(c, body, stripetest.Sign([]byte(body), hookSecret, time.Now()))
	if err == nil && (status != http.StatusOK || !strings.Contains(answer, `"processed"`)) {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	return err
}

// book returns the Checkout Sessions of unpaid bookings.
func book(ctx context.Context, h *hostprocess.Process, db *sql.DB, n int) ([]string, error) {
	store, err := booking.New(db, booking.Options{})
	if err != nil {
		return nil, err
	}
	slug := fmt.Sprintf("load-%d", time.Now().UnixNano())
	_, err = store.CreateResource(ctx, booking.Resource{
		Slug: slug, Name: "Load", TimeZone: "Europe/Paris", Capacity: 1000, SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	})
	if err != nil {
		return nil, err
	}
	start := time.Now().AddDate(0, 0, 7).UTC().Truncate(24 * time.Hour).Add(10 * time.Hour).Format(time.RFC3339)
	sessions := make([]string, n)
	var fails error
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				var err error
				if sessions[i], err = bookOne(ctx, h, slug, start); err != nil {
					mu.Lock()
					fails = errors.Join(fails, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return sessions, fails
}

func bookOne(ctx context.Context, h *hostprocess.Process, slug, start string) (string, error) {
	body := fmt.Sprintf(`{"resource":%q,"start":%q,"firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`,
		slug, start)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.Address+"/api/bookings",
		strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var made struct{ StripeSessionID string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.StripeSessionID == "" {
		return "", fmt.Errorf("book: status %d: %w", res.StatusCode, err)
	}
	return made.StripeSessionID, nil
}
