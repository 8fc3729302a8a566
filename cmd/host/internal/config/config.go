package config

import (
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// ReceiverName is the name under which hosts keep Stripe's events in the ledger: other
// programs on the same database, with a webhook.Receiver of their own, have another.
const ReceiverName = "host"

// Config is a configuration that the host can run with.
type Config struct {
	// Production demands every secret and a database of its own.
	Production bool
	// Host is the IP address to listen on; Port 0 lets the system choose.
	Host string
	Port int
	// AppURL is the public address without a trailing slash. Empty, in development only,
	// means the address listened on.
	AppURL string
	// Version is APP_VERSION; empty means the build's own.
	Version string
	// Embedded asks for a private Postgres below DataDir; else DatabaseURL is complete
	// for lib/pq.
	Embedded    bool
	DatabaseURL string
	// DatabaseWarnings say what of DATABASE_URL and of the environment has no effect on
	// its connections.
	DatabaseWarnings   []string
	DataDir            string
	EmbeddedRepository string
	// DatabasePool is how many connections the host opens at most.
	DatabasePool int
	// Prepare keeps hot statements prepared on each connection. Nothing in front of the
	// database may hand a connection on between statements without knowing of that, so
	// only the embedded one has it by itself.
	Prepare bool
	// SessionSecrets sign sessions and owner tokens: the first signs, all are accepted.
	// Empty in development only: see [KeepSessionSecret].
	SessionSecrets []string
	// StripeAccount names the Stripe account where several hosts with one each share a
	// database.
	StripeAccount string
	// StripeSecretKey is empty in development only, and then the stand-in takes Stripe's
	// place.
	StripeSecretKey      string
	StripeWebhookSecrets []string
	// StripeAPIBase is another address of Stripe's API, for tests; empty is Stripe.
	StripeAPIBase string
	TrustProxy    TrustProxy
	Cookie        Cookie
	// AdminEmail and AdminPassword make the first user; both are set or neither is.
	AdminEmail, AdminPassword string
	// HoldsPerEmail, HoldsPerEmailAnywhere and HoldsPerAddress limit what is held or
	// comes free of charge: for an e-mail address from one client network, for an address
	// over all networks, and for a network; 0 is no limit.
	HoldsPerEmail, HoldsPerEmailAnywhere, HoldsPerAddress int
	// BookingsPerMinute is how many bookings and moves a client network may make each
	// minute, and BookingsAtOnce how many at one time; 0 is no limit.
	BookingsPerMinute, BookingsAtOnce int
	// Metrics is where Prometheus reads.
	Metrics Metrics
	// MaxConnections is how many connections there are at once.
	MaxConnections int
	// ShutdownGrace is how long readiness fails before the host stops to take
	// connections; 0 is not at all.
	ShutdownGrace time.Duration
}

// Cookie is how the session cookie is sent.
type Cookie struct {
	Secure   bool
	SameSite http.SameSite
	Domain   string
}

// Load reads the configuration from the variables of environ. The error is [Problems]:
// all of them. It opens nothing and writes nothing.
func Load(environ map[string]string) (Config, error) {
	c, problems := Read(environ)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Read is [Load] for who looks at a configuration rather than runs with it: what could be
// read is there, whatever else is wrong.
func Read(environ map[string]string) (Config, Problems) {
	var problems Problems
	e := parse(environ, &problems)
	isProduction := e.production()
	c := Config{
		Production:           isProduction,
		Host:                 bindHost(e.Host, isProduction, &problems),
		Port:                 int(e.Port),
		Version:              e.AppVersion,
		DataDir:              e.DataDir,
		EmbeddedRepository:   e.EmbeddedRepository,
		SessionSecrets:       sessionSecrets(e.SessionSecret, isProduction, &problems),
		StripeSecretKey:      e.StripeSecretKey,
		StripeWebhookSecrets: e.StripeWebhook,
		StripeAccount:        e.StripeAccount,
		StripeAPIBase:        strings.TrimRight(e.StripeAPIBase, "/"),
		TrustProxy:           e.TrustProxy,
		AdminEmail:           e.AdminEmail,
		AdminPassword:        e.AdminPassword,
		Metrics:              e.Metrics,
		MaxConnections:       int(e.MaxConnections),
		ShutdownGrace:        time.Duration(e.ShutdownGrace) * time.Second,
	}
	if !c.Metrics.Set {
		c.Metrics.Address = metricsDefault
	}
	switch {
	case e.AppURL != "":
		c.AppURL = appURL(e.AppURL, isProduction, &problems)
	case isProduction:
		problems.add("APP_URL", "is missing",
			"set it to the public address, such as https://booking.example.com: customers return to it after paying")
	}
	c.storage(e, environ, &problems)
	stripe(e, isProduction, &problems)
	c.limits(e, &problems)
	c.cookie(e, &problems)
	c.admin(&problems)
	c.mistakenForDevelopment(e, &problems)
	return c, problems
}

// LoadStorage reads only what says where the data is: migrations can be applied where the
// host itself cannot start yet.
func LoadStorage(environ map[string]string) (Config, error) {
	var all Problems
	e := parse(environ, &all)
	problems := all.only("APP_ENV", "NODE_ENV", "STORAGE_DRIVER", "DATABASE_POOL")
	c := Config{Production: e.production(), DataDir: e.DataDir, EmbeddedRepository: e.EmbeddedRepository}
	c.storage(e, environ, &problems)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Address reads only where the host listens.
func Address(environ map[string]string) (host string, port int, err error) {
	var all Problems
	e := parse(environ, &all)
	problems := all.only("APP_ENV", "NODE_ENV", "PORT")
	host = bindHost(e.Host, e.production(), &problems)
	if len(problems) > 0 {
		return "", 0, problems
	}
	return host, int(e.Port), nil
}

// storage decides where the data is: DATABASE_URL where it is set, else, in development,
// a private Postgres.
func (c *Config) storage(e environment, environ map[string]string, problems *Problems) {
	driver := e.StorageDriver
	if driver == "" {
		driver = driverEmbedded
		if e.DatabaseURL != "" || c.Production {
			driver = driverDB
		}
	}
	c.Embedded = driver == driverEmbedded
	c.DatabasePool = int(e.DatabasePool)
	c.Prepare = c.Embedded
	if e.DatabasePrepare.set {
		c.Prepare = e.DatabasePrepare.value
	}
	if c.Embedded && c.Production {
		problems.add("STORAGE_DRIVER", "is embedded",
			"production needs a database of its own: set it to db, and DATABASE_URL")
	}
	if c.EmbeddedRepository != "" && absolute(c.EmbeddedRepository) == nil {
		problems.add("EMBEDDED_POSTGRES_REPOSITORY", "is not an absolute http(s) URL",
			"it is a Maven repository, such as https://maven.example.com/maven2")
	}
	// A malformed driver has been noted already, and what it would need is not known.
	if driver != driverDB {
		return
	}
	if e.DatabaseURL == "" {
		problems.add("DATABASE_URL", "is missing", urlShape)
		return
	}
	c.DatabaseURL, c.DatabaseWarnings = databaseURL(e.DatabaseURL, problems)
	if unread := unreadVariables(environ); len(unread) > 0 {
		c.DatabaseWarnings = append(c.DatabaseWarnings,
			strings.Join(unread, ", ")+" are not read: DATABASE_URL alone says how to connect")
	}
}

func (c *Config) cookie(e environment, problems *Problems) {
	c.Cookie = Cookie{Secure: c.Production, SameSite: http.SameSite(e.CookieSameSite),
		Domain: strings.TrimPrefix(e.CookieDomain, ".")}
	if e.CookieSecure.set {
		c.Cookie.Secure = e.CookieSecure.value
	}
	if !c.Cookie.Secure && c.Production && !strings.HasPrefix(c.AppURL, "http://") {
		problems.add("COOKIE_SECURE", "is false", "production sends the session cookie over https alone: unset it")
	}
	if !c.Cookie.Secure && c.Cookie.SameSite == http.SameSiteNoneMode {
		problems.add("COOKIE_SAMESITE", "is none without COOKIE_SECURE",
			"browsers drop such a cookie: use lax, or COOKIE_SECURE=true")
	}
	if c.Cookie.Domain == "" {
		return
	}
	if strings.ContainsAny(c.Cookie.Domain, " ;,/:@") {
		problems.add("COOKIE_DOMAIN", "is no domain",
			"it is a domain such as example.com; unset it to have the cookie for this host alone")
		return
	}
	if u, err := url.Parse(c.AppURL); err == nil && c.AppURL != "" && u.Hostname() != c.Cookie.Domain &&
		!strings.HasSuffix(u.Hostname(), "."+c.Cookie.Domain) {
		problems.add("COOKIE_DOMAIN", "does not contain the host of APP_URL",
			"browsers drop such a cookie: unset it, or use a parent domain of that host")
	}
}

func (c *Config) admin(problems *Problems) {
	const remedy = "set ADMIN_EMAIL and ADMIN_PASSWORD together, or neither"
	switch {
	case c.AdminEmail == "" && c.AdminPassword == "":
		return
	case c.AdminEmail == "":
		problems.add("ADMIN_EMAIL", "is missing", remedy)
	case c.AdminPassword == "":
		problems.add("ADMIN_PASSWORD", "is missing", remedy)
	}
	if n := utf8.RuneCountInString(c.AdminPassword); c.AdminPassword != "" && (n < 10 || len(c.AdminPassword) > 1024) {
		problems.add("ADMIN_PASSWORD", "is too short or too long",
			"it has 10 characters or more, and 1024 bytes at most")
	}
	if a, err := mail.ParseAddress(c.AdminEmail); c.AdminEmail != "" && (err != nil || a.Address != c.AdminEmail) {
		problems.add("ADMIN_EMAIL", "is no e-mail address", "it is an address such as admin@example.com")
	}
}
