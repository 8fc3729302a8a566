package doctor

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// sessionSecret: the length is the configuration's; here it is what the secret is made
// of.
func (e *examination) sessionSecret(context.Context) ([]Finding, error) {
	if e.wrong("SESSION_SECRET") {
		return nil, nil
	}
	for i, s := range e.Config.SessionSecrets {
		if why := weak(s); why != "" {
			return []Finding{e.inProduction(SessionSecret,
				fmt.Sprintf("SESSION_SECRET can be guessed: number %d %s", i+1, why),
				"Replace it by the output of: openssl rand -base64 32")}, nil
		}
	}
	if len(e.Config.SessionSecrets) == 0 {
		return []Finding{ok(SessionSecret, "not set: one is made and kept in DATA_DIR")}, nil
	}
	return []Finding{ok(SessionSecret, "not one that is easily guessed")}, nil
}

// What people write until they have a secret.
var placeholders = []string{"change", "example", "secret", "password", "placeholder", "openssl", "your-", "your_"}

// weak says why a secret of 32 bytes or more is easily guessed; empty when it is not.
func weak(s string) string {
	lower := strings.ToLower(s)
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return "is a placeholder"
		}
	}
	distinct := map[rune]bool{}
	for _, r := range s {
		distinct[r] = true
	}
	// Sixteen random bytes written in hexadecimal have more than that.
	if len(distinct) < 8 {
		return "repeats a few characters"
	}
	for period := 1; period <= len(s)/2; period++ {
		if s[period:] == s[:len(s)-period] {
			return "repeats itself"
		}
	}
	return ""
}

var (
	webhookSecretForm = regexp.MustCompile(`^whsec_[A-Za-z0-9+/=_-]{16,}$`)
	// `stripe listen` prints 64 hexadecimal digits; an endpoint's secret is shorter, of
	// letters and digits.
	listenSecretForm = regexp.MustCompile(`^whsec_[0-9a-f]{64}$`)
	stripeKeyForm    = regexp.MustCompile(`^(sk|rk)_(live|test)_[A-Za-z0-9]{10,}$`)
)

func (e *examination) webhookSecret(context.Context) ([]Finding, error) {
	if e.wrong("STRIPE_WEBHOOK_SECRET") || len(e.Config.StripeWebhookSecrets) == 0 {
		return nil, nil
	}
	for i, s := range e.Config.StripeWebhookSecrets {
		if !webhookSecretForm.MatchString(s) {
			return []Finding{e.inProduction(WebhookSecret,
				fmt.Sprintf("STRIPE_WEBHOOK_SECRET is too short or has characters that Stripe's have not (number %d)",
					i+1),
				"Copy the signing secret of the endpoint from Stripe's dashboard once more.")}, nil
		}
		if e.Config.Production && listenSecretForm.MatchString(s) {
			return []Finding{warning(WebhookSecret,
				fmt.Sprintf("STRIPE_WEBHOOK_SECRET looks like one of `stripe listen` (number %d)", i+1),
				"Use the signing secret of the endpoint in Stripe's dashboard.")}, nil
		}
	}
	return []Finding{ok(WebhookSecret, "well-formed")}, nil
}

// mode is which of Stripe's two worlds a key is of; empty when it does not say.
func mode(key string) string {
	for _, m := range []string{"live", "test"} {
		if strings.HasPrefix(key, "sk_"+m+"_") || strings.HasPrefix(key, "rk_"+m+"_") {
			return m
		}
	}
	return ""
}

func (e *examination) stripeKey(context.Context) ([]Finding, error) {
	key := e.Config.StripeSecretKey
	if e.wrong("STRIPE_SECRET_KEY") || key == "" {
		return nil, nil
	}
	if !stripeKeyForm.MatchString(key) {
		return []Finding{e.inProduction(StripeKey, "STRIPE_SECRET_KEY does not look like a key of Stripe's (sk_live_…, rk_live_…, sk_test_…, rk_test_…)",
			"Copy the key from Stripe's dashboard once more.")}, nil
	}
	switch m := mode(key); {
	case m == "test" && e.Config.Production:
		return []Finding{problem(StripeKeyMode,
			"STRIPE_SECRET_KEY is one of test mode: bookings are confirmed and no money comes",
			"Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET to those of live mode before customers come.")}, nil
	case m == "live" && !e.Config.Production:
		return []Finding{warning(StripeKeyMode, "STRIPE_SECRET_KEY is a live one, in development: real money moves",
			"Use a key of test mode (sk_test_…) in development, or set APP_ENV=production.")}, nil
	}
	return []Finding{ok(StripeKey, "well-formed"), ok(StripeKeyMode, mode(key)+" mode")}, nil
}

// namedSecret is a secret and where it was given.
type namedSecret struct{ name, value string }

func secretsOf(c config.Config) []namedSecret {
	var all []namedSecret
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				all = append(all, namedSecret{name, v})
			}
		}
	}
	add("SESSION_SECRET", c.SessionSecrets...)
	add("STRIPE_SECRET_KEY", c.StripeSecretKey)
	add("STRIPE_WEBHOOK_SECRET", c.StripeWebhookSecrets...)
	add("ADMIN_PASSWORD", c.AdminPassword)
	_, password := databaseLogin(c.DatabaseURL)
	add("the password of DATABASE_URL", password)
	return all
}

// databaseLogin is who logs in to the database, and with what.
func databaseLogin(databaseURL string) (user, password string) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", ""
	}
	user, query := u.User.Username(), u.Query()
	password, _ = u.User.Password()
	if user == "" {
		user = query.Get("user")
	}
	if password == "" {
		password = query.Get("password")
	}
	return user, password
}

func (e *examination) reusedSecrets(context.Context) ([]Finding, error) {
	var found []Finding
	first := map[string]string{}
	for _, s := range secretsOf(e.Config) {
		name, seen := first[s.value]
		if !seen {
			first[s.value] = s.name
			continue
		}
		where := "is the same as " + name
		if name == s.name {
			where = "has the same secret twice"
		}
		found = append(found, e.inProduction(SecretReused, s.name+" "+where,
			"Give each its own secret: who learns one should not have the other, and a rotation replaces the old by a new one."))
	}
	if len(found) == 0 {
		found = append(found, ok(SecretReused, "no secret is used twice"))
	}
	return found, nil
}

// The passwords of examples: that of .env.example first.
var knownPasswords = []string{"booking", "postgres", "password", "secret", "changeme", "admin", "test"}

func (e *examination) databasePassword(context.Context) ([]Finding, error) {
	user, password := databaseLogin(e.Config.DatabaseURL)
	if e.Config.Production && password != "" &&
		(password == user || slices.Contains(knownPasswords, strings.ToLower(password))) {
		return []Finding{warning(DatabasePassword,
			"the password of DATABASE_URL is that of an example, or the name of its user",
			"Give the role another password (ALTER ROLE … PASSWORD …) and write it into DATABASE_URL.")}, nil
	}
	return nil, nil
}

// withoutSecrets takes out of findings whatever a driver, a server or Stripe may have
// quoted.
func withoutSecrets(found []Finding, secrets []namedSecret) []Finding {
	for i := range found {
		for _, s := range secrets {
			// What is shorter is no secret, and its letters are in ordinary words.
			if len(s.value) < 8 {
				continue
			}
			for _, form := range []string{s.value, url.QueryEscape(s.value), url.PathEscape(s.value)} {
				found[i].Found = strings.ReplaceAll(found[i].Found, form, "…")
				found[i].Remedy = strings.ReplaceAll(found[i].Remedy, form, "…")
			}
		}
	}
	return found
}
