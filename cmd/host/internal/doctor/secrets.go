package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// sessionSecret checks the content of the secrets; config checks their length.
func (e *examination) sessionSecret(context.Context) ([]Finding, error) {
	if e.invalid("SESSION_SECRET") {
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
		_, err := config.KeptSessionSecret(e.Config.DataDir)
		if dir, found := existing(e.Config.DataDir); err != nil && found == nil && !writable(dir) {
			return []Finding{warning(SessionSecret, "not set, and none can be kept in DATA_DIR, which is read-only: logins "+
				"and customers' links end with the process", "Set SESSION_SECRET, or DATA_DIR to a folder that can be written to.")}, nil
		}
		return []Finding{ok(SessionSecret, "not set: one is kept in DATA_DIR")}, nil
	}
	return []Finding{ok(SessionSecret, "not easy to guess")}, nil
}

var placeholders = []string{"change", "example", "secret", "password", "placeholder", "openssl", "your-", "your_"}

// weak says why a secret of 32 bytes or more is easy to guess, or returns "".
func weak(s string) string {
	lower := strings.ToLower(s)
	if slices.ContainsFunc(placeholders, func(p string) bool { return strings.Contains(lower, p) }) {
		return "is a placeholder"
	}
	distinct := map[rune]bool{}
	for _, r := range s {
		distinct[r] = true
	}
	if len(distinct) < 8 { // 16 random bytes in hexadecimal have more.
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
	// listenSecretForm matches secrets of `stripe listen`; those of endpoints are
	// shorter.
	listenSecretForm = regexp.MustCompile(`^whsec_[0-9a-f]{64}$`)
	stripeKeyForm    = regexp.MustCompile(`^(sk|rk)_(live|test)_[A-Za-z0-9]{10,}$`)
)

func (e *examination) webhookSecret(context.Context) ([]Finding, error) {
	if e.invalid("STRIPE_WEBHOOK_SECRET") || len(e.Config.StripeWebhookSecrets) == 0 {
		return nil, nil
	}
	for i, s := range e.Config.StripeWebhookSecrets {
		if !webhookSecretForm.MatchString(s) {
			return []Finding{e.inProduction(WebhookSecret,
				fmt.Sprintf("STRIPE_WEBHOOK_SECRET is too short or has invalid characters (number %d)", i+1),
				"Copy the signing secret of the endpoint from Stripe's dashboard again.")}, nil
		}
		if e.Config.Production && listenSecretForm.MatchString(s) {
			return []Finding{warning(WebhookSecret,
				fmt.Sprintf("STRIPE_WEBHOOK_SECRET looks like one of `stripe listen` (number %d)", i+1),
				"Use the signing secret of the endpoint in Stripe's dashboard.")}, nil
		}
	}
	return []Finding{ok(WebhookSecret, "well-formed")}, nil
}

// mode returns live, test or "".
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
	if e.invalid("STRIPE_SECRET_KEY") || key == "" {
		return nil, nil
	}
	if !stripeKeyForm.MatchString(key) {
		return []Finding{e.inProduction(StripeKey, "STRIPE_SECRET_KEY does not look like a key of Stripe "+
			"(sk_live_…, rk_live_…, sk_test_…, rk_test_…)", "Copy the key from Stripe's dashboard again.")}, nil
	}
	switch m := mode(key); {
	case m == "test" && e.Config.Production:
		return []Finding{problem(StripeKeyMode,
			"STRIPE_SECRET_KEY is of test mode: bookings are confirmed without money",
			"Set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET to those of live mode before customers pay.")}, nil
	case m == "live" && !e.Config.Production:
		return []Finding{warning(StripeKeyMode, "STRIPE_SECRET_KEY is a live one, in development: real money moves",
			"Use a key of test mode (sk_test_…) in development, or set APP_ENV=production.")}, nil
	}
	return []Finding{ok(StripeKey, "well-formed"), ok(StripeKeyMode, mode(key)+" mode")}, nil
}

// namedSecret is a secret and its variable.
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
			"Use a different secret for each purpose."))
	}
	if len(found) == 0 {
		found = append(found, ok(SecretReused, "no secret is used twice"))
	}
	return found, nil
}

// knownPasswords are passwords of examples, such as .env.example.
var knownPasswords = []string{"booking", "postgres", "password", "secret", "changeme", "admin", "test"}

func (e *examination) databasePassword(context.Context) ([]Finding, error) {
	user, password := databaseLogin(e.Config.DatabaseURL)
	if e.Config.Production && password != "" &&
		(password == user || slices.Contains(knownPasswords, strings.ToLower(password))) {
		return []Finding{warning(DatabasePassword,
			"the password of DATABASE_URL is that of an example, or the user name",
			"Give the role another password (ALTER ROLE … PASSWORD …) and write it into DATABASE_URL.")}, nil
	}
	return nil, nil
}

// redact removes secrets that a driver, a server or Stripe may have quoted.
func redact(found []Finding, secrets []namedSecret) []Finding {
	for i := range found {
		for _, s := range secrets {
			if len(s.value) < 8 { // It could be part of a word.
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

// secretUse counts the links of each session secret, so that an old one can be removed
// safely, and the dead links of removed ones.
func (e *examination) secretUse(ctx context.Context) ([]Finding, error) {
	if e.invalid("SESSION_SECRET") {
		return nil, nil
	}
	secrets := e.Config.SessionSecrets
	if len(secrets) == 0 {
		kept, err := config.KeptSessionSecret(e.Config.DataDir)
		if errors.Is(err, fs.ErrNotExist) {
			return []Finding{ok(SecretUse, "not checked: SESSION_SECRET is not set, and DATA_DIR has none")}, nil
		}
		if err != nil {
			return nil, err
		}
		secrets = []string{kept}
	}
	owners, err := booking.DeriveOwnerSecrets(secrets)
	if err != nil {
		return nil, err
	}
	bookings, err := booking.New(e.DB, booking.Options{OwnerSecrets: owners})
	if err != nil {
		return nil, err
	}
	all, err := bookings.SecretUse(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	var gone []string
	var links, feeds int
	for _, use := range all {
		uses := fmt.Sprintf("%s and %s", plural(use.Bookings, "coming booking"), plural(use.Feeds, "calendar feed"))
		secret := fmt.Sprintf("secret %s (number %d of SESSION_SECRET", use.ID, use.Number)
		switch {
		case use.Number == 1:
			found = append(found, ok(SecretUse, secret+", which makes new links): "+uses))
		case use.Number > 1 && use.Bookings+use.Feeds == 0:
			found = append(found, ok(SecretUse, secret+"): nothing depends on it, it can be taken out"))
		case use.Number > 1:
			found = append(found, ok(SecretUse, secret+"): "+uses+" depend on it, keep it"))
		case use.ID != "":
			gone = append(gone, use.ID)
			links += use.Bookings
			feeds += use.Feeds
		}
	}
	if len(gone) > 0 {
		const named = 5
		if len(gone) > named {
			gone = append(gone[:named], "…")
		}
		found = append(found, warning(SecretGone,
			fmt.Sprintf("the links of %s and %s are dead: their secret is not in SESSION_SECRET (%s)",
				plural(links, "coming booking"), plural(feeds, "calendar feed"), strings.Join(gone, ", ")),
			"Run: host booking renew-links --links, and send the new links; make new feeds. "+
				"A secret that did not leak can be appended to SESSION_SECRET again instead."))
	}
	return found, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
