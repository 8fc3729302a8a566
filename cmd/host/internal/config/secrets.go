package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/webhook"
)

// minSecret is the shortest SESSION_SECRET, in bytes: the length of the HMAC.
const minSecret = 32

func sessionSecrets(secrets []string, production bool, problems *Problems) []string {
	const name, remedy = "SESSION_SECRET",
		"set it to 32 random bytes or more, such as the output of: openssl rand -base64 32"
	if len(secrets) == 0 && production {
		problems.add(name, "is missing", remedy)
	}
	for i, s := range secrets {
		if len(s) < minSecret {
			problems.add(name, fmt.Sprintf("has a secret of %d bytes (number %d)", len(s), i+1), remedy)
		}
	}
	return secrets
}

// stripe checks key and signing secrets together: with a key but no signing secret, no
// payment would be confirmed.
func stripe(e environment, production bool, problems *Problems) {
	const key, signing, base = "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE"
	switch {
	case e.StripeSecretKey == "" && production:
		problems.add(key, "is missing", "set it to the secret key of your Stripe account (sk_live_… or rk_live_…); "+
			"only development has the built-in stand-in")
	case e.StripeSecretKey != "" && !strings.HasPrefix(e.StripeSecretKey, "sk_") &&
		!strings.HasPrefix(e.StripeSecretKey, "rk_"):
		problems.add(key, "is not a secret key", "a secret key begins with sk_, a restricted one with rk_; a "+
			"publishable one (pk_) or a signing secret (whsec_) is of no use here")
	case strings.ContainsFunc(e.StripeSecretKey, foreignToKeys):
		problems.add(key, "has a character that no key has",
			"copy it once more: it is one key, without blanks and commas")
	}
	if len(e.StripeAccount) > 64 || strings.ContainsFunc(e.StripeAccount, foreignToKeys) {
		problems.add("STRIPE_ACCOUNT", "is not a name",
			"it is a name of your own of 64 letters, digits, - and _ at most")
	}
	if len(e.StripeWebhook) == 0 && (production || e.StripeSecretKey != "") {
		problems.add(signing, "is missing", "set it to the signing secret of the webhook endpoint (whsec_…); in "+
			"development `stripe listen --print-secret` shows one")
	}
	for i, s := range e.StripeWebhook {
		if err := webhook.CheckSecret(s); err != nil {
			problems.add(signing, fmt.Sprintf("has a value that is no signing secret: number %d %s", i+1, err),
				"one begins with whsec_; several are separated by commas")
		}
	}
	switch {
	case e.StripeAPIBase == "":
	case production:
		problems.add(base, "is set", "production talks to Stripe itself: unset it")
	case e.StripeSecretKey == "":
		problems.add(base, "is set without STRIPE_SECRET_KEY", "set both, or neither for the built-in stand-in")
	case absolute(e.StripeAPIBase) == nil:
		problems.add(base, "is not an absolute http(s) URL",
			"it is another address of Stripe's API, for tests, such as http://127.0.0.1:12111")
	}
}

// endpointSecret matches signing secrets of webhook endpoints, but not those of `stripe
// listen`, which have 64 hexadecimal digits.
var endpointSecret = regexp.MustCompile(`^whsec_[A-Za-z0-9]{16,63}$`)

// mistakenForDevelopment finds a production configuration without APP_ENV, which would
// run under the rules of development, or confirm unpaid bookings if there is no key.
func (c *Config) mistakenForDevelopment(e environment, problems *Problems) {
	const key = "STRIPE_SECRET_KEY"
	if c.Production {
		return
	}
	// With STRIPE_API_BASE the key is not sent to Stripe.
	live := strings.HasPrefix(e.StripeSecretKey, "sk_live_") || strings.HasPrefix(e.StripeSecretKey, "rk_live_")
	if live && e.StripeAPIBase == "" {
		problems.add(key, "is a live key, in development",
			"real money moves with it: set APP_ENV=production, or use a key of test mode (sk_test_…)")
	}
	if e.StripeSecretKey != "" {
		return
	}
	var signs []string
	public, _ := url.Parse(c.AppURL) // Checked before.
	if public.Scheme == "https" && !loopback(public.Hostname()) {
		signs = append(signs, "an https APP_URL")
	}
	if e.CookieSecure.value && !loopback(public.Hostname()) {
		signs = append(signs, "COOKIE_SECURE=true")
	}
	if c.Cookie.Domain != "" && !loopback(c.Cookie.Domain) && len(problems.only("COOKIE_DOMAIN")) == 0 {
		signs = append(signs, "COOKIE_DOMAIN")
	}
	if slices.ContainsFunc(e.StripeWebhook, endpointSecret.MatchString) {
		signs = append(signs, "the STRIPE_WEBHOOK_SECRET of an endpoint")
	}
	if len(signs) > 0 {
		problems.add(key, "is missing, in development, beside "+strings.Join(signs, " and "),
			"the built-in stand-in confirms bookings that nothing is paid for: set APP_ENV=production and the key, "+
				"or unset what is beside it")
	}
}

// foreignToKeys reports whether a character does not occur in keys.
func foreignToKeys(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// KeepSessionSecret returns the secret in the file session_secret of dir, and makes it if
// there is none, so that logins and owner tokens survive a restart in development. Two
// processes that call it at once get the same secret.
func KeepSessionSecret(dir string) (string, error) {
	path := filepath.Join(dir, "session_secret")
	if kept, err := KeptSessionSecret(dir); !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("config: keep a session secret: %w", err)
	}
	// Link fails if another process was first.
	f, err := os.CreateTemp(dir, ".session_secret-*")
	if err != nil {
		return "", fmt.Errorf("config: keep a session secret: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(Random() + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("config: keep a session secret: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("config: keep a session secret: %w", err)
	}
	return readSecret(path)
}

// KeptSessionSecret returns the secret of [KeepSessionSecret], or fs.ErrNotExist.
func KeptSessionSecret(dir string) (string, error) {
	return readSecret(filepath.Join(dir, "session_secret"))
}

func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("config: read the session secret: %w", err)
	}
	secret := strings.TrimSpace(string(content))
	if len(secret) < minSecret {
		return "", fmt.Errorf("config: %s holds no secret of %d bytes or more; remove the file to have one made", path,
			minSecret)
	}
	return secret, nil
}

// Random returns a secret of 256 random bits as 43 characters.
func Random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // Never fails.
	return base64.RawURLEncoding.EncodeToString(b)
}
