package config_test

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

const secret = "0123456789abcdef0123456789abcdef"

// produced is a complete production environment.
var produced = map[string]string{
	"APP_ENV":               "production",
	"APP_URL":               "https://booking.example.com/",
	"DATABASE_URL":          "postgres://booking:hunter2@db:5432/booking_platform",
	"SESSION_SECRET":        secret + ", " + secret + "-old",
	"STRIPE_SECRET_KEY":     "sk_live_correcthorse",
	"STRIPE_WEBHOOK_SECRET": "whsec_batterystaple,whsec_batterystaple2",
}

// with returns the environment with changes; an empty value removes a variable.
func with(base map[string]string, changes ...string) map[string]string {
	env := maps.Clone(base)
	if env == nil {
		env = map[string]string{}
	}
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return env
}

func TestLoad_DevelopmentNeedsNothing(t *testing.T) {
	t.Parallel()
	c, err := config.Load(nil)
	require.NoError(t, err)
	require.Equal(t, config.Config{
		Host: "127.0.0.1", Port: 3000, Embedded: true, Prepare: true, DataDir: "./.data",
		Cookie:        config.Cookie{SameSite: http.SameSiteLaxMode},
		HoldsPerEmail: 3, HoldsPerEmailAnywhere: 12, HoldsPerAddress: 100, BookingsPerMinute: 30, BookingsAtOnce: 130,
		Metrics: config.Metrics{Address: "127.0.0.1:9464"}, MaxConnections: 4096, DatabasePool: 20,
		MailOwnerLanguage: "en",
	}, c)
}

func TestLoad_Production(t *testing.T) {
	t.Parallel()
	c, err := config.Load(with(produced, "TRUST_PROXY", "true"))
	require.NoError(t, err)
	require.Equal(t, config.Config{
		Production: true, Host: "0.0.0.0", Port: 3000, AppURL: "https://booking.example.com", DataDir: "./.data",
		DatabaseURL:          "postgres://booking:hunter2@db:5432/booking_platform?binary_parameters=yes&connect_timeout=5&sslmode=prefer",
		SessionSecrets:       []string{secret, secret + "-old"},
		StripeSecretKey:      "sk_live_correcthorse",
		StripeWebhookSecrets: []string{"whsec_batterystaple", "whsec_batterystaple2"},
		TrustProxy:           config.TrustProxy{Count: 1},
		Cookie:               config.Cookie{Secure: true, SameSite: http.SameSiteLaxMode},
		Metrics:              config.Metrics{Address: "127.0.0.1:9464"},
		MaxConnections:       4096,
		DatabasePool:         20,

		HoldsPerEmail: 3, HoldsPerEmailAnywhere: 12, HoldsPerAddress: 100, BookingsPerMinute: 30, BookingsAtOnce: 130,
		MailOwnerLanguage: "en",
	}, c)
}

// M11: With two different values the rules of production apply.
func TestLoad_EnvironmentHasTwoNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		app, node  string
		production bool
		problem    string
	}{
		{"", "", false, ""}, {" ", "\r", false, ""},
		{"production", "", true, ""}, {"", "production", true, ""}, {"production", "production", true, ""},
		{"", " production\r", true, ""}, {"  ", "production", true, ""},
		{"development", "", false, ""}, {"", "development", false, ""}, {"development", "development", false, ""},
		{"development", "production", true, "NODE_ENV"}, {"production", "development", true, "NODE_ENV"},
		{"", "Production", false, "NODE_ENV"}, {"production", "test", true, "NODE_ENV"},
		{"prod", "production", true, "APP_ENV"},
	} {
		env := with(produced, "APP_ENV", c.app, "NODE_ENV", c.node)
		if !c.production {
			env = with(nil, "APP_ENV", c.app, "NODE_ENV", c.node)
		}
		got, problems := config.Read(env)
		require.Equal(t, c.production, got.Production, "%q %q", c.app, c.node)
		require.Equal(t, c.production, got.Cookie.Secure, "%q %q", c.app, c.node)
		for _, load := range []func(map[string]string) error{
			func(env map[string]string) error { _, err := config.Load(env); return err },
			func(env map[string]string) error { _, err := config.LoadStorage(env); return err },
			func(env map[string]string) error { _, _, err := config.Address(env); return err },
		} {
			err := load(env)
			if c.problem == "" {
				require.NoError(t, err, "%q %q", c.app, c.node)
				continue
			}
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 1, "%v", err)
			require.Equal(t, c.problem, problems[0].Name)
		}
	}
	_, err := config.Load(with(produced, "APP_ENV", "", "NODE_ENV", "production", "SESSION_SECRET", ""))
	require.ErrorContains(t, err, "SESSION_SECRET", "the old name demands what production needs")
}

// M11.
func TestLoad_ProductionWithoutAppEnv(t *testing.T) {
	t.Parallel()
	const endpoint = "whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd"
	for name, c := range map[string]struct {
		environ []string
		wrong   string
	}{
		"a live key": {[]string{"STRIPE_SECRET_KEY", "sk_live_x", "STRIPE_WEBHOOK_SECRET", "whsec_x"},
			"is a live key"},
		"a live restricted key": {[]string{"STRIPE_SECRET_KEY", "rk_live_x", "STRIPE_WEBHOOK_SECRET", "whsec_x"},
			"is a live key"},
		"a public address":  {[]string{"APP_URL", "https://booking.example.com"}, "beside an https APP_URL"},
		"a secure cookie":   {[]string{"COOKIE_SECURE", "true"}, "beside COOKIE_SECURE=true"},
		"a cookie's domain": {[]string{"COOKIE_DOMAIN", "example.com"}, "beside COOKIE_DOMAIN"},
		"an endpoint's secret": {[]string{"STRIPE_WEBHOOK_SECRET", "whsec_mine," + endpoint},
			"beside the STRIPE_WEBHOOK_SECRET"},
		"all but the two": {[]string{"APP_URL", "https://booking.example.com", "COOKIE_SECURE", "true",
			"STRIPE_WEBHOOK_SECRET", endpoint,
			"APP_ENV", "development"},
			"an https APP_URL and COOKIE_SECURE=true and the STRIPE_WEBHOOK_SECRET of an endpoint"},
	} {
		_, err := config.Load(with(nil, c.environ...))
		var problems config.Problems
		require.ErrorAs(t, err, &problems, name)
		require.Len(t, problems, 1, name)
		require.Equal(t, "STRIPE_SECRET_KEY", problems[0].Name, name)
		require.Contains(t, problems[0].Wrong, c.wrong, name)
		require.NotContains(t, err.Error(), endpoint)
	}
	for name, environ := range map[string][]string{
		"https on this machine": {"APP_URL", "https://localhost:3000", "COOKIE_SECURE", "true"},
		"a local name":          {"APP_URL", "https://booking.localhost", "COOKIE_DOMAIN", "booking.localhost"},
		"the local network":     {"APP_URL", "http://192.168.1.7:3000"},
		"a tunnel, a test key": {"APP_URL", "https://x.example.com", "STRIPE_SECRET_KEY", "sk_test_x",
			"STRIPE_WEBHOOK_SECRET", endpoint},
		"stripe listen":    {"STRIPE_WEBHOOK_SECRET", "whsec_" + strings.Repeat("0123456789abcdef", 4)},
		"a made-up secret": {"STRIPE_WEBHOOK_SECRET", "whsec_12345678"},
		"a proxy":          {"TRUST_PROXY", "1"},
	} {
		_, err := config.Load(with(nil, environ...))
		require.NoError(t, err, name)
	}
}

// Each invalid variable is exactly one problem.
func TestLoad_EachProblem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base            map[string]string
		name, value     string
		wrong           string
		also, alsoValue string
	}{
		{nil, "APP_ENV", "prod", `is "prod"`, "", ""},
		{nil, "NODE_ENV", "test", `is "test"`, "", ""},
		{nil, "BIND_ADDRESS", "my-machine", "is no IP address", "", ""},
		{nil, "PORT", "http", `is "http"`, "", ""},
		{nil, "PORT", "65536", `is "65536"`, "", ""},
		{nil, "PORT", "-1", `is "-1"`, "", ""},
		{nil, "APP_URL", "booking.example.com", "is not an absolute", "", ""},
		{nil, "APP_URL", "https://example.com/app", "has more than", "", ""},
		{nil, "APP_URL", "https://u:p@example.com", "has more than", "", ""},
		{produced, "APP_URL", "", "is missing", "", ""},
		{produced, "APP_URL", "http://booking.example.com", "is plain http", "", ""},
		{nil, "STORAGE_DRIVER", "sqlite", `is "sqlite"`, "", ""},
		{produced, "STORAGE_DRIVER", "embedded", "is embedded", "", ""},
		{produced, "DATABASE_URL", "", "is missing", "", ""},
		{nil, "DATABASE_URL", "", "is missing", "STORAGE_DRIVER", "db"},
		{nil, "DATABASE_URL", "postgres://u:hunter2%zz@db/b", "is not a URL", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2#x@db/b", "is not a URL", "", ""},
		{nil, "DATABASE_URL", "mysql://u:hunter2@db/b", "does not begin with postgres://", "", ""},
		{nil, "DATABASE_URL", "host=db password=hunter2", "does not begin with postgres://", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@a:1,b:2/b", "names several hosts", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@db/b?sslmode=maybe", "is refused by the driver", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@db/b?port=hunter2", "is refused by the driver", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@db/b?a=%zz", "has a malformed query", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@/b?host=a,b,c&port=1,2",
			"could not match 2 port numbers to 3 hosts", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@a/b?target_session_attrs=writable", "is refused by the driver", "",
			""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@/b?host=a,b&target_session_attrs=any",
			"has target_session_attrs=any", "", ""},
		{nil, "DATABASE_URL", "postgres://u:hunter2@a/b?target_session_attrs=prefer-standby",
			"has target_session_attrs=prefer-standby", "", ""},
		{nil, "DATABASE_POOL", "1", `is "1"`, "", ""},
		{nil, "DATABASE_POOL", "many", `is "many"`, "", ""},
		{nil, "DATABASE_POOL", "1001", `is "1001"`, "", ""},
		{produced, "SESSION_SECRET", "", "is missing", "", ""},
		{nil, "SESSION_SECRET", secret + ",hunter2", "has a secret of 7 bytes (number 2)", "", ""},
		{produced, "STRIPE_SECRET_KEY", "", "is missing", "", ""},
		{produced, "STRIPE_SECRET_KEY", "pk_live_hunter2", "is not a secret key", "", ""},
		// M28: what is no key of the API, and a list of keys.
		{produced, "STRIPE_SECRET_KEY", "whsec_hunter2", "is not a secret key", "", ""},
		{produced, "STRIPE_SECRET_KEY", "sk_live_hunter2,sk_live_hunter2", "has a character that no key has", "", ""},
		{produced, "STRIPE_SECRET_KEY", "sk_live_hunter2 x", "has a character that no key has", "", ""},
		{produced, "STRIPE_ACCOUNT", "hunter2 hunter2", "is not a name", "", ""},
		{produced, "STRIPE_WEBHOOK_SECRET", "", "is missing", "", ""},
		{nil, "STRIPE_WEBHOOK_SECRET", "", "is missing", "STRIPE_SECRET_KEY", "sk_test_hunter2"},
		{nil, "STRIPE_WEBHOOK_SECRET", "whsec_12345678,hunter2",
			"no signing secret: number 2 does not begin with whsec_", "", ""},
		// M28: an API key, and a list without commas.
		{nil, "STRIPE_WEBHOOK_SECRET", "sk_live_hunter2", "number 1 is an API key (sk_…)", "", ""},
		{nil, "STRIPE_WEBHOOK_SECRET", "whsec_12345678 whsec_hunter2", "number 1 has a comma, white space", "", ""},
		{produced, "STRIPE_API_BASE", "http://127.0.0.1:1", "is set", "", ""},
		{nil, "STRIPE_API_BASE", "http://127.0.0.1:1", "is set without", "", ""},
		{with(produced, "APP_ENV", "", "STRIPE_SECRET_KEY", "sk_test_x"), "STRIPE_API_BASE", "127.0.0.1:1",
			"is not an absolute", "", ""},
		{nil, "EMBEDDED_POSTGRES_REPOSITORY", "maven", "is not an absolute", "", ""},
		{nil, "TRUST_PROXY", "-1", "is -1", "", ""},
		{nil, "TRUST_PROXY", "10.0.0.0/8, nginx", `has "nginx"`, "", ""},
		{nil, "COOKIE_SECURE", "yes", `is "yes"`, "", ""},
		{produced, "COOKIE_SECURE", "false", "is false", "", ""},
		{nil, "COOKIE_SAMESITE", "loose", `is "loose"`, "", ""},
		{nil, "COOKIE_SAMESITE", "none", "is none without", "", ""},
		{produced, "COOKIE_DOMAIN", "example.org", "does not contain", "", ""},
		{nil, "COOKIE_DOMAIN", "a b", "is no domain", "", ""},
		{nil, "ADMIN_EMAIL", "", "is missing", "ADMIN_PASSWORD", "hunter2hunter2"},
		{nil, "ADMIN_PASSWORD", "", "is missing", "ADMIN_EMAIL", "a@example.com"},
		{nil, "ADMIN_PASSWORD", "hunter2", "is too short", "ADMIN_EMAIL", "a@example.com"},
		{nil, "ADMIN_EMAIL", "Ann <a@example.com>", "is no e-mail", "ADMIN_PASSWORD", "hunter2hunter2"},
		{nil, "HOLDS_PER_EMAIL", "-1", `is "-1"`, "", ""},
		{nil, "HOLDS_PER_EMAIL", "three", `is "three"`, "", ""},
		{nil, "HOLDS_PER_ADDRESS", "1001", `is "1001"`, "", ""},
		{nil, "BOOKINGS_PER_MINUTE", "-1", `is "-1"`, "", ""},
		{nil, "HOLDS_PER_EMAIL_ANYWHERE", "many", `is "many"`, "", ""},
		{nil, "HOLDS_PER_EMAIL_ANYWHERE", "2", "is less than HOLDS_PER_EMAIL", "", ""},
		{nil, "HOLDS_PER_EMAIL_ANYWHERE", "2", "is less than HOLDS_PER_EMAIL", "HOLDS_PER_EMAIL", "0"},
		{nil, "METRICS_ADDR", "none", `is "none"`, "", ""},
		{nil, "METRICS_ADDR", "9464", `is "9464"`, "", ""},
		{nil, "METRICS_ADDR", "my-machine:9464", "does not begin with an IP address", "", ""},
		{nil, "METRICS_ADDR", "127.0.0.1:65536", "does not end with a port number", "", ""},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Parallel()
			env := with(c.base, c.name, c.value)
			if c.also != "" {
				env[c.also] = c.alsoValue
			}
			_, err := config.Load(env)
			var problems config.Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 1, "%v", err)
			require.Equal(t, c.name, problems[0].Name)
			require.Contains(t, problems[0].Wrong, c.wrong)
			require.NotEmpty(t, problems[0].Remedy)
			require.NotContains(t, err.Error(), "hunter2", "a secret is never quoted")
		})
	}
}

func TestLoad_AllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	wrong := map[string]string{
		"APP_ENV": "production", "BIND_ADDRESS": "here", "PORT": "x", "APP_URL": "nowhere", "STORAGE_DRIVER": "db",
		"DATABASE_URL": "postgres://u:hunter2@a,b/c", "SESSION_SECRET": "hunter2", "STRIPE_SECRET_KEY": "hunter2",
		"STRIPE_WEBHOOK_SECRET": "hunter2", "STRIPE_API_BASE": "x", "TRUST_PROXY": "x", "COOKIE_SECURE": "x",
		"COOKIE_SAMESITE": "x", "COOKIE_DOMAIN": "a b", "EMBEDDED_POSTGRES_REPOSITORY": "x", "ADMIN_EMAIL": "x",
		"HOLDS_PER_EMAIL": "x", "HOLDS_PER_ADDRESS": "x", "BOOKINGS_PER_MINUTE": "x", "METRICS_ADDR": "x",
		"DATABASE_POOL": "x", "MAX_CONNECTIONS": "x", "SHUTDOWN_GRACE": "x", "LOG_LEVEL": "x", "LOG_FORMAT": "x",
		"PERSONAL_DATA_DAYS": "x",
	}
	_, err := config.Load(wrong)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	for name := range wrong {
		if name == "APP_ENV" || name == "STORAGE_DRIVER" {
			continue
		}
		require.True(t, strings.Contains(err.Error(), "\n  "+name+" "), "%s is not named in\n%v", name, err)
	}
	require.Contains(t, err.Error(), "\n  ADMIN_PASSWORD is missing")
	var problems config.Problems
	require.True(t, errors.As(err, &problems))
	require.Len(t, lines, len(problems)+1, "one line each, and a heading")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestLoad_Values(t *testing.T) {
	t.Parallel()
	load := func(changes ...string) config.Config {
		c, err := config.Load(with(nil, changes...))
		require.NoError(t, err)
		return c
	}
	require.Equal(t, "::1", load("BIND_ADDRESS", "::1").Host)
	require.Equal(t, "127.0.0.1", load("BIND_ADDRESS", "localhost").Host)
	require.Equal(t, 0, load("PORT", "0").Port)
	require.Equal(t, 0, load("HOLDS_PER_EMAIL", "0").HoldsPerEmail, "no limit")
	require.Equal(t, 20, load("HOLDS_PER_ADDRESS", "20").HoldsPerAddress)
	for _, c := range []struct {
		environ              []string
		anywhere, rate, most int
	}{
		{[]string{"HOLDS_PER_ADDRESS", "20"}, 12, 30, 50}, {[]string{"HOLDS_PER_ADDRESS", "0"}, 12, 0, 0},
		{[]string{"HOLDS_PER_ADDRESS", "0", "BOOKINGS_PER_MINUTE", "5"}, 12, 5, 5},
		{[]string{"BOOKINGS_PER_MINUTE", "0"}, 12, 0, 0},
		{[]string{"HOLDS_PER_EMAIL", "0"}, 0, 30, 130}, {[]string{"HOLDS_PER_EMAIL", "400"}, 1000, 30, 130},
		{[]string{"HOLDS_PER_EMAIL_ANYWHERE", "3"}, 3, 30, 130},
		{[]string{"HOLDS_PER_EMAIL_ANYWHERE", "0"}, 0, 30, 130},
	} {
		got := load(c.environ...)
		require.Equal(t, []int{c.anywhere, c.rate, c.most},
			[]int{got.HoldsPerEmailAnywhere, got.BookingsPerMinute, got.BookingsAtOnce}, c.environ)
	}
	for value, want := range map[string]config.Metrics{
		"": {Address: "127.0.0.1:9464"}, "off": {Set: true}, "10.0.0.7:9464": {Address: "10.0.0.7:9464", Set: true},
		"127.0.0.1:9464": {Address: "127.0.0.1:9464", Set: true}, "localhost:0": {Address: "127.0.0.1:0", Set: true},
		":9464": {Address: ":9464", Set: true}, "[::1]:9464": {Address: "[::1]:9464", Set: true},
	} {
		require.Equal(t, want, load("METRICS_ADDR", value).Metrics, value)
	}
	require.Equal(t, 100000, load("MAX_CONNECTIONS", "100000").MaxConnections)
	require.Equal(t, 5*time.Second, load("SHUTDOWN_GRACE", "5").ShutdownGrace)
	require.Equal(t, slog.LevelWarn, load("LOG_LEVEL", "WARN").LogLevel)
	require.Equal(t, config.LogText, load("LOG_FORMAT", "text").LogFormat)
	require.Zero(t, load().PersonalDataFor)
	require.Equal(t, 730*24*time.Hour, load("PERSONAL_DATA_DAYS", "730").PersonalDataFor)
	require.Equal(t, "http://localhost:8080", load("APP_URL", "http://localhost:8080/\r").AppURL)
	require.Equal(t, config.TrustProxy{Count: 2}, load("TRUST_PROXY", "2").TrustProxy)
	require.Equal(t, config.TrustProxy{}, load("TRUST_PROXY", "false").TrustProxy)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32")},
		load("TRUST_PROXY", "10.1.2.3/8, 192.168.1.7").TrustProxy.Networks)
	require.True(t, load("COOKIE_SECURE", "true", "COOKIE_SAMESITE", "None", "APP_URL",
		"https://localhost").Cookie.Secure)
	require.False(t, load("DATABASE_URL", "postgres://db/b").Embedded)
	require.False(t, load("DATABASE_URL", "postgres://db/b").Prepare, "there may be a pooler that knows nothing of it")
	require.True(t, load("DATABASE_URL", "postgres://db/b", "DATABASE_PREPARE", "true").Prepare)
	require.False(t, load("DATABASE_PREPARE", "false").Prepare)
	require.True(t, load("DATABASE_URL", "postgres://db/b", "STORAGE_DRIVER", "embedded").Embedded)
	require.Equal(t, "postgres://db/b?binary_parameters=no&connect_timeout=1&sslmode=disable",
		load("DATABASE_URL", "postgres://db/b?sslmode=disable&binary_parameters=no&connect_timeout=1").DatabaseURL)
	require.Equal(t, "postgres://u:p@/b?binary_parameters=yes&connect_timeout=5&host=a%2Cb&port=1%2C2&sslmode=prefer&target_session_attrs=read-write",
		load("DATABASE_URL", "postgres://u:p@/b?host=a,b&port=1,2").DatabaseURL, "a standby alone would not do")
	require.Contains(t, load("DATABASE_URL", "postgres:///b?host=a,b&target_session_attrs=primary").DatabaseURL,
		"target_session_attrs=primary")
	require.NotContains(t, load("DATABASE_URL", "postgres://db/b").DatabaseURL, "target_session_attrs")
	require.Equal(t, 20, load().DatabasePool)
	require.Equal(t, 7, load("DATABASE_POOL", "7").DatabasePool)
	require.NotContains(t, load("DATABASE_URL", "postgres://db/b?sslrootcert=system").DatabaseURL, "sslmode")
}

func TestLoadStorage_AndAddress_IgnoreTheRest(t *testing.T) {
	t.Parallel()
	// A production host without secrets can still be migrated.
	c, err := config.LoadStorage(map[string]string{"APP_ENV": "production", "DATABASE_URL": "postgres://db/b",
		"PORT": "x"})
	require.NoError(t, err)
	require.Contains(t, c.DatabaseURL, "sslmode=prefer")
	_, err = config.LoadStorage(map[string]string{"APP_ENV": "production", "PORT": "x"})
	require.EqualError(t, err, "configuration: 1 problem\n  DATABASE_URL is missing: it has the form "+
		"postgres://user:password@host:5432/database, "+
		"with %40 for @, %2F for / and %23 for # in a password")
	_, err = config.LoadStorage(map[string]string{"STORAGE_DRIVER": "x"})
	require.ErrorContains(t, err, "STORAGE_DRIVER")

	host, port, err := config.Address(map[string]string{"APP_ENV": "production", "PORT": "8080", "COOKIE_SECURE": "x"})
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0", host)
	require.Equal(t, 8080, port)
	_, _, err = config.Address(map[string]string{"PORT": "x", "BIND_ADDRESS": "here"})
	require.ErrorContains(t, err, "2 problems")
}
