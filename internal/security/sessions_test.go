//go:build linux

package security

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sessionCookie(t *testing.T, c *cluster) {
	email, password := c.addUser(t, "OPS")
	byForm, byJSON := c.stranger(t), c.stranger(t)
	answers := map[string]answer{
		"login by form": byForm.logInByForm(email, password, ""),
		"login by JSON": byJSON.logIn(email, password),
	}
	require.Equal(t, http.StatusSeeOther, answers["login by form"].status)
	require.Equal(t, http.StatusOK, answers["login by JSON"].status)
	for what, a := range answers {
		require.Len(t, a.cookies, 2, what)
	}
	// Browsers require these attributes to clear such a cookie.
	answers["logout by form"] = byForm.form("/logout", nil)
	answers["logout by JSON"] = byJSON.post("/auth/logout", nil)
	for what, a := range answers {
		names := map[string]bool{}
		for _, cookie := range a.cookies {
			names[cookie.Name] = true
			require.True(t, strings.HasPrefix(cookie.Name, "__Host-"), "%s: %s", what, cookie.Name)
			require.True(t, cookie.Secure, "%s: %s", what, cookie.Name)
			require.True(t, cookie.HttpOnly, "%s: %s", what, cookie.Name)
			require.Equal(t, http.SameSiteLaxMode, cookie.SameSite, "%s: %s", what, cookie.Name)
			// The prefix requires them; browsers drop the cookie otherwise.
			require.Equal(t, "/", cookie.Path, what)
			require.Empty(t, cookie.Domain, what)
		}
		require.True(t, names[sessionName], what)
	}
}

func newTokenAtLogin(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	old := ops.cookies[sessionName]
	for what, again := range map[string]func(){
		"by JSON": func() { ops.login(ops.client) },
		"by form": func() {
			a := ops.logInByForm(ops.email, ops.password, "")
			require.Equal(t, http.StatusSeeOther, a.status)
		},
	} {
		require.Equal(t, everywhere, ops.onEvery(), what)
		again()
		fresh := ops.cookies[sessionName]
		require.NotEqual(t, old, fresh, what)
		require.Equal(t, nowhere, ops.with(old).onEvery(), "%s: the old one is dead", what)
		require.Equal(t, everywhere, ops.onEvery(), what)
		old = fresh
	}
	// A planted session token is not accepted, well-formed or another user's.
	victim := c.stranger(t)
	for _, planted := range []string{strings.Repeat("A", 43), old} {
		victim.cookies[sessionName] = planted
		email, password := c.addUser(t, "READONLY")
		require.Equal(t, http.StatusOK, victim.logIn(email, password).status)
		require.NotEqual(t, planted, victim.cookies[sessionName])
		require.Equal(t, nowhere, victim.with(planted).onEvery())
	}
}

func logoutEverywhere(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	other := c.stranger(t)
	ops.login(other)
	for what, path := range map[string]string{"by form": "/logout", "by JSON": "/auth/logout"} {
		browser := c.stranger(t)
		ops.login(browser)
		token := browser.cookies[sessionName]
		require.Equal(t, everywhere, browser.onEvery(), what)
		require.Less(t, browser.do(http.MethodPost, path, "application/x-www-form-urlencoded", "").status, 400, what)
		require.NotContains(t, browser.cookies, sessionName, what)
		require.Equal(t, nowhere, browser.with(token).onEvery(), what)
	}
	require.Equal(t, everywhere, other.onEvery(), "another browser stays")
}

func disableEverywhere(t *testing.T, c *cluster) {
	ops, other := c.member(t, "OPS"), c.member(t, "OPS")
	second := c.stranger(t)
	ops.login(second)
	require.Equal(t, everywhere, ops.onEvery())
	require.Equal(t, everywhere, second.onEvery())
	c.command(t, "", "user", "disable", ops.email)
	require.Equal(t, nowhere, ops.onEvery())
	require.Equal(t, nowhere, second.onEvery())
	require.Equal(t, http.StatusFound, ops.get("/dashboard").status)
	require.Equal(t, http.StatusUnauthorized, c.stranger(t).logIn(ops.email, ops.password).status)
	require.Equal(t, everywhere, other.onEvery(), "another user stays")

	c.command(t, "", "user", "enable", ops.email)
	require.Equal(t, nowhere, ops.onEvery(), "what has ended does not come back")
	ops.login(ops.client)
	require.Equal(t, everywhere, ops.onEvery())
}

func passwordEverywhere(t *testing.T, c *cluster) {
	ops, other := c.member(t, "OPS"), c.member(t, "OPS")
	second := c.stranger(t)
	ops.login(second)
	require.Equal(t, everywhere, ops.onEvery())
	require.Equal(t, everywhere, second.onEvery())
	fresh := "another " + ops.password
	c.know("a password", fresh)
	c.command(t, fresh+"\n", "user", "passwd", ops.email)
	require.Equal(t, nowhere, ops.onEvery())
	require.Equal(t, nowhere, second.onEvery())
	require.Equal(t, http.StatusUnauthorized, c.stranger(t).logIn(ops.email, ops.password).status)
	require.Equal(t, http.StatusOK, c.stranger(t).logIn(ops.email, fresh).status)
	require.Equal(t, everywhere, other.onEvery(), "another user stays")
}

const ofUser = ` WHERE user_id = (SELECT id::text FROM booking_platform.users WHERE email = $1)`

// The database's clock decides, so the last use is moved.
func idleExpiry(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	const idle = `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - $2::interval`
	for range 2 {
		c.exec(t, idle+ofUser, ops.email, "11 hours 58 minutes")
		require.Equal(t, everywhere, ops.onEvery(), "each use makes it last longer")
	}
	c.exec(t, idle+ofUser, ops.email, "12 hours 1 second")
	require.Equal(t, nowhere, ops.onEvery())
	require.Equal(t, http.StatusFound, ops.get("/dashboard").status)
	require.Equal(t, nowhere, ops.onEvery(), "asking does not bring it back")
}

func absoluteExpiry(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	const lasts = `SELECT extract(epoch FROM expires_at - created_at)::int, expires_at::text FROM booking_platform.sessions`
	var seconds int
	var before, after string
	require.NoError(t, c.db.QueryRow(lasts+ofUser, ops.email).Scan(&seconds, &before))
	require.Equal(t, 7*24*60*60, seconds)
	c.exec(t, `UPDATE booking_platform.sessions SET last_seen_at = statement_timestamp() - interval '1 hour'`+ofUser,
		ops.email)
	require.Equal(t, everywhere, ops.onEvery())
	require.NoError(t, c.db.QueryRow(lasts+ofUser, ops.email).Scan(&seconds, &after))
	require.Equal(t, before, after, "however busy it is, it does not last longer")

	c.exec(t, `UPDATE booking_platform.sessions SET expires_at = statement_timestamp() - interval '1 second'`+ofUser,
		ops.email)
	require.Equal(t, nowhere, ops.onEvery())
}

// A byte counts as random if sixteen tokens have more than eight values of it; each kind
// of token has at least sixteen.
func randomTokens(t *testing.T, c *cluster) {
	email, password := c.addUser(t, "OPS")
	resource := c.addResource(t)
	customer := c.stranger(t)
	starts := customer.slots(resource)
	kinds := map[string][][]byte{}
	for n := range 16 {
		staff := c.stranger(t)
		require.Equal(t, http.StatusOK, staff.logIn(email, password).status)
		someone := c.stranger(t)
		b := someone.book(resource, starts[n], c.someone())
		a := staff.post("/api/resources/"+resource+"/feeds", nil)
		require.Equal(t, http.StatusCreated, a.status, a.brief())
		for kind, token := range map[string]string{
			"session": staff.cookies[sessionName], "device": staff.cookies[deviceName], "booking": b.Token,
			"feed": c.feedToken(t, a),
		} {
			raw, err := base64.RawURLEncoding.DecodeString(token)
			require.NoError(t, err, "%s: %s", kind, token)
			kinds[kind] = append(kinds[kind], raw)
		}
	}
	for kind, tokens := range kinds {
		random := 0
		for i := range tokens[0] {
			seen := map[byte]bool{}
			for _, token := range tokens {
				require.Len(t, token, len(tokens[0]), kind)
				seen[token[i]] = true
			}
			if len(seen) > 8 {
				random++
			}
		}
		require.GreaterOrEqual(t, random*8, 128, "%s: too few bits change", kind)
	}
}

func (c *cluster) feedToken(t *testing.T, a answer) string {
	t.Helper()
	var feed struct{ URL string }
	a.into(t, &feed)
	token, ok := strings.CutPrefix(strings.TrimSuffix(feed.URL, ".ics"), public+"/calendar/")
	require.True(t, ok, feed.URL)
	c.know("the token of a feed", token)
	return token
}

// No column contains a token, as text or as bytes.
func hashedTokens(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	resource := c.addResource(t)
	customer := c.stranger(t)
	b := customer.book(resource, customer.slots(resource)[0], c.someone())
	feed := c.feedToken(t, ops.post("/api/resources/"+resource+"/feeds", nil))
	dump := c.dump(t)
	require.Contains(t, dump, b.ID, "what is stored is in the dump")
	require.Contains(t, dump, ops.email)
	for what, token := range map[string]string{
		"session": ops.cookies[sessionName], "device": ops.cookies[deviceName], "booking": b.Token, "feed": feed,
		"password": ops.password,
	} {
		require.NotEmpty(t, token, what)
		forms := []string{token, hex.EncodeToString([]byte(token))}
		if raw, err := base64.RawURLEncoding.DecodeString(token); err == nil {
			forms = append(forms, hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw))
		}
		for _, form := range forms {
			require.False(t, strings.Contains(strings.ToLower(dump), strings.ToLower(form)),
				"the %s is in the database", what)
		}
	}
	// The stored value is not accepted as a token.
	var stored string
	require.NoError(t,
		c.db.QueryRow(`SELECT translate(rtrim(encode(token_hash, 'base64'), '='), '+/', '-_') FROM booking_platform.sessions`+ofUser, ops.email).Scan(&stored))
	require.Equal(t, nowhere, ops.with(stored).onEvery())
}

func (c *cluster) dump(t *testing.T) string {
	t.Helper()
	var tables []string
	rows, err := c.db.Query(`SELECT format('%I.%I', schemaname, tablename) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var table string
		require.NoError(t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(tables), 8)
	var all strings.Builder
	for _, table := range tables {
		var text string
		require.NoError(t, c.db.QueryRow(`SELECT coalesce(string_agg(r::text, E'\n'), '') FROM `+table+
			` AS r`).Scan(&text))
		all.WriteString(text + "\n")
	}
	return all.String()
}
