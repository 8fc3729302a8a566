//go:build linux

package security

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const wrong = "wrong horse battery"

// told leaves out what differs per request.
func (a answer) told(email string) string {
	header := a.header.Clone()
	for _, name := range []string{"Date", "X-Request-Id"} {
		header.Del(name)
	}
	text := fmt.Sprintf("%d %v\n%s", a.status, header, a.body)
	return strings.NewReplacer(a.header.Get("X-Request-Id"), "ID", email, "EMAIL").Replace(text)
}

func sameBytes(t *testing.T, c *cluster) {
	known, password := c.addUser(t, "OPS")
	disabled, itsPassword := c.addUser(t, "OPS")
	c.command(t, "", "user", "disable", disabled)
	unknown := strings.Replace(known, "user", "none", 1)
	ways := map[string]func(email, password string) answer{
		"JSON": func(email, password string) answer { return c.stranger(t).logIn(email, password) },
		"form": func(email, password string) answer {
			return c.stranger(t).logInByForm(email, password, "")
		},
	}
	for way, ask := range ways {
		want := ask(known, wrong)
		require.Equal(t, http.StatusUnauthorized, want.status, way)
		require.Empty(t, want.cookies, way)
		for what, a := range map[string]answer{
			"unknown": ask(unknown, wrong), "unknown, with another user's password": ask(unknown, password),
			"disabled, with the right password": ask(disabled, itsPassword), "disabled": ask(disabled, wrong),
		} {
			email := unknown
			if strings.HasPrefix(what, "disabled") {
				email = disabled
			}
			require.Equal(t, want.told(known), a.told(email), "%s, %s", way, what)
		}
	}
}

// One after the other without load, because the time includes the wait for a hash slot.
func sameTime(t *testing.T, c *cluster) {
	known, _ := c.addUser(t, "OPS")
	unknown := strings.Replace(known, "user", "none", 1)
	took := map[string][]time.Duration{}
	for range 15 {
		for _, email := range []string{known, unknown} {
			took[email] = append(took[email], c.refusalOf(t, email))
		}
	}
	slices.Sort(took[known])
	slices.Sort(took[unknown])
	ratio := float64(took[unknown][7]) / float64(took[known][7])
	require.Greater(t, ratio, 0.5, "%v", took)
	require.Less(t, ratio, 2.0, "%v", took)
}

// refusalOf discards 503s, which measure that wait.
func (c *cluster) refusalOf(t *testing.T, email string) time.Duration {
	t.Helper()
	for range 5 {
		browser := c.stranger(t)
		browser.get("/login")
		began := time.Now()
		status := browser.post("/auth/login", m{"email": email, "password": wrong}).status
		took := time.Since(began)
		if status != http.StatusServiceUnavailable {
			require.Equal(t, http.StatusUnauthorized, status)
			return took
		}
	}
	require.FailNow(t, "the machine is too busy to compare one password")
	return 0
}

// attempts logs in a few at a time, by alternating hosts, and counts the answers.
func (c *cluster) attempts(t *testing.T, n int, from func(int) string, email func(int) string) map[int]int {
	t.Helper()
	statuses := make([]int, n)
	turns := make(chan struct{}, 12)
	var all sync.WaitGroup
	for i := range n {
		browser := c.strangerAt(t, from(i))
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			statuses[i] = browser.post("/auth/login", m{"email": email(i), "password": wrong}).status
		})
	}
	all.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	return count
}

// refused allows the few attempts that became free while time passed.
func refused(t *testing.T, longest time.Duration, since time.Time, answers ...answer) {
	t.Helper()
	refused := 0
	for _, a := range answers {
		if a.status != http.StatusTooManyRequests {
			continue
		}
		refused++
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, seconds, 1)
		require.LessOrEqual(t, seconds, int(longest/time.Second))
	}
	require.GreaterOrEqual(t, refused, len(answers)-int(time.Since(since)/longest))
}

func limitedPerAccount(t *testing.T, c *cluster) {
	owner := c.member(t, "OPS") // whose browser is known from now on
	stranger := c.address()
	began := time.Now()
	count := c.attempts(t, 40, func(int) string { return stranger }, func(int) string { return owner.email })
	// A busy machine answers 503 to some attempts within the limits.
	passed := count[http.StatusUnauthorized] + count[http.StatusServiceUnavailable]
	given := 1 + int(time.Since(began)/time.Minute)
	require.Equal(t, 40, passed+count[http.StatusTooManyRequests], "%v", count)
	require.GreaterOrEqual(t, passed, 25)
	require.LessOrEqual(t, passed, 25+given, "five of his own and twenty that all share, over all replicas: %v", count)

	// The right password does not help the attacker, on any host, by any route.
	for _, h := range c.hosts {
		he := c.strangerAt(t, stranger).at(h)
		refused(t, time.Minute, began, he.logIn(owner.email, owner.password),
			he.logInByForm(owner.email, owner.password, ""))
	}
	// The attacker's other networks have five attempts each.
	elsewhere := c.address()
	count = c.attempts(t, 10, func(int) string { return elsewhere }, func(int) string { return owner.email })
	passed = count[http.StatusUnauthorized] + count[http.StatusServiceUnavailable]
	require.GreaterOrEqual(t, passed, 5, "%v", count)
	require.LessOrEqual(t, passed, 5+int(time.Since(began)/time.Minute), "%v", count)

	// The owner logs in from another network, and from the attacker's with a known
	// browser.
	owner.login(c.stranger(t))
	known := c.strangerAt(t, stranger)
	known.cookies[deviceName] = owner.cookies[deviceName]
	// Each attempt takes one of its ten, also one that a busy machine admits and answers
	// with 503.
	last, spent := time.Now(), 0
	spend := func(password string) int {
		spent++
		return known.post("/auth/login", m{"email": owner.email, "password": password}).status
	}
	status := spend(owner.password)
	for status == http.StatusServiceUnavailable {
		status = spend(owner.password)
	}
	require.Equal(t, http.StatusOK, status, "after %d", spent)
	// A forged cookie is not accepted, and a known browser has a limit too.
	forged := c.strangerAt(t, stranger)
	first := map[bool]string{true: "B", false: "A"}[strings.HasPrefix(owner.cookies[deviceName], "A")]
	forged.cookies[deviceName] = first + owner.cookies[deviceName][1:]
	refused(t, time.Minute, began, forged.logIn(owner.email, owner.password))
	for spent < 10 {
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, spend(wrong),
			"ten, of which one is the owner's login")
	}
	refused(t, time.Minute, last, known.logIn(owner.email, wrong), known.logIn(owner.email, owner.password))
}

// For any accounts, existing or not.
func limitedPerAddress(t *testing.T, c *cluster) {
	real, password := c.addUser(t, "OPS")
	address := c.address()
	began := time.Now()
	count := c.attempts(t, 115, func(int) string { return address },
		func(n int) string { return fmt.Sprintf("n%d@example.com", n) })
	passed := count[http.StatusUnauthorized] + count[http.StatusServiceUnavailable]
	given := 1 + int(time.Since(began)/(6*time.Second))
	require.Equal(t, 115, passed+count[http.StatusTooManyRequests], "%v", count)
	require.GreaterOrEqual(t, passed, 100)
	require.LessOrEqual(t, passed, 100+given, "over all replicas: %v", count)
	// Use up what has become free since.
	last := time.Now()
	c.attempts(t, 1+int(time.Since(began)/(6*time.Second)), func(int) string { return address },
		func(int) string { return real })
	var answers []answer
	for n := range 6 {
		answers = append(answers, c.strangerAt(t, address).at(c.hosts[n%3]).logIn(real, password))
	}
	refused(t, 6*time.Second, last.Add(-6*time.Second), answers...)
	require.Equal(t, http.StatusOK, c.stranger(t).logIn(real, password).status, "from elsewhere")
}

type member struct {
	*client
	email, password string
}

func (c *cluster) addUser(t *testing.T, role string) (email, password string) {
	t.Helper()
	n := c.serial.Add(1)
	email, password = fmt.Sprintf("user%04d@example.com", n), fmt.Sprintf("correct horse %04d battery", n)
	c.know("a password", password)
	c.command(t, password+"\n", "user", "add", "--role", role, email)
	return email, password
}

func (c *cluster) member(t *testing.T, role string) member {
	t.Helper()
	email, password := c.addUser(t, role)
	m := member{c.stranger(t), email, password}
	m.login(m.client)
	return m
}

func (m member) login(browser *client) {
	m.t.Helper()
	a := browser.logIn(m.email, m.password)
	require.Equal(m.t, http.StatusOK, a.status, a.body)
}

func (c *client) logIn(email, password string) answer {
	c.t.Helper()
	return c.patiently(func() answer { return c.post("/auth/login", m{"email": email, "password": password}) })
}

func (c *client) logInByForm(email, password, next string, header ...string) answer {
	c.t.Helper()
	fields := m{"email": email, "password": password}
	if next != "" {
		fields["next"] = next
	}
	return c.patiently(func() answer { return c.form("/login", fields, header...) })
}

// patiently repeats a login while the machine is too busy.
func (c *client) patiently(ask func() answer) (a answer) {
	c.t.Helper()
	for range 5 {
		if a = ask(); a.status != http.StatusServiceUnavailable {
			break
		}
	}
	return a
}

const (
	sessionName = "__Host-booking_session"
	deviceName  = "__Host-booking_device"
)

// onEvery returns the session's status on each host.
func (c *client) onEvery() (statuses []int) {
	c.t.Helper()
	for _, h := range c.hosts {
		statuses = append(statuses, c.at(h).get("/auth/me").status)
	}
	return statuses
}

var (
	everywhere = []int{http.StatusOK, http.StatusOK, http.StatusOK}
	nowhere    = []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized}
)

func (c *client) with(token string) *client {
	other := *c
	other.cookies = map[string]string{sessionName: token}
	return &other
}
