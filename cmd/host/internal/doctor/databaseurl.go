package doctor

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// servers are the hosts and ports that a database's URL names.
func servers(databaseURL string) (hosts, ports []string) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, nil
	}
	split := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
	}
	query := u.Query()
	return append(split(u.Hostname()), split(query.Get("host"))...),
		append(split(u.Port()), split(query.Get("port"))...)
}

// databaseURL repeats what of DATABASE_URL and of the environment has no effect.
func (e *examination) databaseURL(context.Context) ([]Finding, error) {
	var found []Finding
	for _, w := range e.Config.DatabaseWarnings {
		found = append(found, warning(DatabaseURL, w,
			"Take out what has no effect, or write into DATABASE_URL what the driver has in its place."))
	}
	if len(found) == 0 {
		found = append(found, ok(DatabaseURL, "every parameter has its effect"))
	}
	return found, nil
}

// remote tells a server across a network from one on this machine, or in the same compose
// project or pod, whose name has no dot.
func remote(host string) bool {
	return !strings.HasPrefix(host, "/") && !local(host) && strings.ContainsAny(host, ".:")
}

// databaseTLS: what crosses a network in production is the customers' data, and the
// password.
func (e *examination) databaseTLS(context.Context) ([]Finding, error) {
	hosts, _ := servers(e.Config.DatabaseURL)
	if !e.Config.Production || !slices.ContainsFunc(hosts, remote) {
		return nil, nil
	}
	u, err := url.Parse(e.Config.DatabaseURL)
	if err != nil {
		return nil, err
	}
	sslmode := u.Query().Get("sslmode")
	// The driver then verifies everything.
	if u.Query().Get("sslrootcert") == "system" {
		sslmode = "verify-full"
	}
	switch sslmode {
	case "verify-full", "verify-ca":
		return []Finding{ok(DatabaseTLS, "sslmode is "+sslmode)}, nil
	case "require":
		return []Finding{warning(DatabaseTLS, "the database is across a network and sslmode is require: it is encrypted, and whoever answers is believed to be the server",
			"Add sslmode=verify-full to DATABASE_URL, and sslrootcert where the certificate is not signed by a public authority.")}, nil
	}
	return []Finding{warning(DatabaseTLS,
		"the database is across a network and sslmode is "+sslmode+": customers' data may cross it unencrypted",
		"Add sslmode=verify-full to DATABASE_URL, and sslrootcert where the certificate is not signed by a public authority.")}, nil
}

// pooled tells whether a URL looks like that of a pooler: by the ports that are usual for
// one, or by name. Nothing that it answers would tell.
func pooled(databaseURL string) bool {
	hosts, ports := servers(databaseURL)
	byName := func(host string) bool {
		return strings.Contains(host, "pooler") || strings.Contains(host, "bouncer") ||
			strings.Contains(host, "pgcat") || strings.Contains(host, "odyssey")
	}
	return slices.ContainsFunc(hosts, byName) || slices.Contains(ports, "6432") || slices.Contains(ports, "6543")
}

func (e *examination) databasePrepare(context.Context) ([]Finding, error) {
	if e.Config.Prepare && pooled(e.Config.DatabaseURL) {
		return []Finding{warning(DatabasePrepare, "DATABASE_PREPARE is true and DATABASE_URL looks like a pooler: one that knows nothing of prepared statements can run somebody else's",
				"Unset DATABASE_PREPARE, unless this is PgBouncer 1.21 or newer with max_prepared_statements above 0.")},
			nil
	}
	return []Finding{ok(DatabasePrepare, "suits DATABASE_URL")}, nil
}
