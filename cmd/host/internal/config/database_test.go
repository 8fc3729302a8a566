package config_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// M26: want are parameters of the URL for lib/pq, left are those that the warning names.
func TestDatabaseURL_FromProviders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want, left string }{
		"no parameters": {"postgres://u:p@db:5432/b", "sslmode=prefer", ""},
		"Neon":          {"postgresql://u:p@ep-a-pooler.eu-central-1.aws.neon.tech/b?sslmode=require&channel_binding=require", "sslmode=require", "channel_binding"},
		"Neon without SNI": {"postgres://u:p@ep-a.neon.tech/b?sslmode=require&options=endpoint%3Dep-a",
			"options=endpoint=ep-a", ""},
		"Supabase": {"postgresql://postgres.ref:p@aws-0-eu-west-3.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1", "sslmode=prefer", "connection_limit, pgbouncer"},
		"Supabase by Vercel": {"postgres://u:p@h:6543/postgres?sslmode=require&supa=base-pooler.x",
			"sslmode=require", "supa"},
		"Heroku, node": {"postgres://u:p@ec2-1.compute.amazonaws.com:5432/d?sslmode=no-verify",
			"sslmode=require", ""},
		"Heroku, ssl=true": {"postgres://u:p@ec2-1.compute.amazonaws.com:5432/d?ssl=true",
			"sslmode=require", ""},
		"RDS": {"postgres://u:p@x.rds.amazonaws.com/b?sslmode=verify-full&sslrootcert=/etc/rds.pem",
			"sslrootcert=/etc/rds.pem", ""},
		"Azure": {"postgres://u%40s:p@s.postgres.database.azure.com:5432/b?sslmode=require",
			"sslmode=require", ""},
		"Cloud SQL": {"postgresql://u:p@/b?host=/cloudsql/p:r:i", "host=/cloudsql/p:r:i", ""},
		"Cloud SQL, as libpq writes it": {"postgresql://u:p@%2Fcloudsql%2Fp%3Ar%3Ai/b?application_name=x",
			"host=/cloudsql/p:r:i", ""},
		"Render":       {"postgres://u:p@dpg-a.frankfurt-postgres.render.com/b", "sslmode=prefer", ""},
		"Fly":          {"postgres://u:p@app.flycast:5432/b?sslmode=disable", "sslmode=disable", ""},
		"system roots": {"postgres://u:p@h/b?sslrootcert=system", "sslrootcert=system", ""},
		"direct TLS":   {"postgres://u:p@h/b?sslnegotiation=direct", "sslmode=require", "sslnegotiation"},
		"direct TLS, verified": {"postgres://u:p@h/b?sslnegotiation=direct&sslmode=verify-full", "sslmode=verify-full",
			"sslnegotiation"},
		"keepalives":       {"postgres://u:p@h/b?keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=5&tcp_user_timeout=1000", "sslmode=prefer", "keepalives, keepalives_count, keepalives_idle, keepalives_interval, tcp_user_timeout"},
		"GSSAPI off":       {"postgres://u:p@h/b?gssencmode=disable", "sslmode=prefer", "gssencmode"},
		"balanced":         {"postgres://u:p@/b?host=a,c&load_balance_hosts=random", "load_balance_hosts=random", ""},
		"named":            {"postgres://u:p@h/b?application_name=booking", "application_name=booking", ""},
		"Prisma":           {"postgresql://u:p@h/b?schema=public&connection_limit=5&pool_timeout=10&sslaccept=accept_invalid_certs", "sslmode=require", "connection_limit, pool_timeout, schema"},
		"Prisma, verified": {"postgresql://u:p@h/b?sslmode=require&sslaccept=strict", "sslmode=verify-full", ""},
		"JDBC":             {"postgresql://h/b?user=u&password=p&ssl=true&ApplicationName=x&prepareThreshold=0&currentSchema=app", "application_name=x", "currentSchema, prepareThreshold"},
		"pgx": {"postgres://u:p@h/b?pool_max_conns=10&default_query_exec_mode=exec", "sslmode=prefer",
			"default_query_exec_mode, pool_max_conns"},
		"golang-migrate": {"postgres://u:p@h/b?x-migrations-table=m", "sslmode=prefer", "x-migrations-table"},
		"Rails": {"postgresql://u:p@h/b?pool=5&encoding=unicode&prepared_statements=false", "sslmode=prefer",
			"encoding, pool, prepared_statements"},
		"capitals": {"postgres://u:p@h/b?SSLMode=require&DateStyle=ISO,%20MDY&Client_Encoding=utf-8",
			"client_encoding=UTF8", ""},
		"an old spelling": {"postgres://u:p@h/b?requiressl=1", "sslmode=require", ""},
		"an empty one":    {"postgres://u:p@h/b?channel_binding=&sslmode=", "sslmode=prefer", ""},
		"a setting":       {"postgres://u:p@h/b?statement_timeout=5000&search_path=app", "statement_timeout=5000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2, err := config.Load(map[string]string{"DATABASE_URL": c.raw})
			require.NoError(t, err)
			u, err := url.Parse(c2.DatabaseURL)
			require.NoError(t, err)
			key, value, _ := strings.Cut(c.want, "=")
			require.Equal(t, value, u.Query().Get(key), c2.DatabaseURL)
			for _, left := range strings.Split(c.left, ", ") {
				require.False(t, left != "" && u.Query().Has(left), "%s is still there", left)
			}
			if c.left == "" {
				require.Empty(t, c2.DatabaseWarnings)
				return
			}
			require.Len(t, c2.DatabaseWarnings, 1, "one warning")
			require.Contains(t, c2.DatabaseWarnings[0], "left out: "+c.left)
			require.NotContains(t, c2.DatabaseWarnings[0], "u:p")
			// What is sent to the server is none of them.
			cfg, err := pq.NewConfig(c2.DatabaseURL)
			require.NoError(t, err)
			require.Empty(t, cfg.Runtime)
		})
	}
}

// M26.
func TestDatabaseURL_UnsupportedParameters(t *testing.T) {
	t.Parallel()
	for _, parameter := range []string{
		"require_auth=scram-sha-256", "requirepeer=postgres", "sslcrl=/x.pem", "sslcrldir=/x", "sslpassword=hunter2",
		"sslidentity=/x.p12",
		"service=booking", "servicefile=/x", "gssencmode=require", "replication=database", "encoding=latin1",
		"client_encoding=LATIN1",
		"datestyle=German", "oauth_issuer=https://x", "ssl=maybe", "sslmode=maybe",
		"sslrootcert=system&sslmode=require", "connect_timeout=soon",
		"sslmode=require&sslmode=disable", "target_session_attrs=standby", "load_balance_hosts=maybe",
	} {
		t.Run(parameter, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(map[string]string{"DATABASE_URL": "postgres://u:hunter2@db/b?" + parameter})
			var problems config.Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 1)
			require.Equal(t, "DATABASE_URL", problems[0].Name)
			name, _, _ := strings.Cut(parameter, "=")
			if name == "sslrootcert" {
				name = "sslmode"
			}
			require.Contains(t, problems[0].Wrong, name)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// M32.
func TestDatabaseURL_VariablesOfLibpqAreNotRead(t *testing.T) {
	t.Parallel()
	plain, err := config.Load(map[string]string{"DATABASE_URL": "postgres://u:p@db/b"})
	require.NoError(t, err)
	c, err := config.Load(map[string]string{"DATABASE_URL": "postgres://u:p@db/b", "PGSSLMODE": "verify-full",
		"PGCONNECT_TIMEOUT": "9", "PGHOST": "elsewhere", "PGDATA": "/x"})
	require.NoError(t, err)
	require.Equal(t, plain.DatabaseURL, c.DatabaseURL)
	require.Equal(t,
		[]string{"PGCONNECT_TIMEOUT, PGHOST, PGSSLMODE are not read: DATABASE_URL alone says how to connect"},
		c.DatabaseWarnings)
	c, err = config.Load(map[string]string{"PGHOST": "elsewhere"})
	require.NoError(t, err)
	require.Empty(t, c.DatabaseWarnings, "the embedded server has none of them")
}

// M26.
func TestRefusal_PermanentErrors(t *testing.T) {
	t.Parallel()
	answer := func(code, message string) error {
		return fmt.Errorf("connect: %w", &pq.Error{Severity: "FATAL", Code: pqerror.Code(code), Message: message})
	}
	down := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	noSocket := &net.OpError{Op: "dial", Net: "unix", Err: syscall.ENOENT}
	refused := map[string]error{
		"the password is wrong": answer("28P01", `password authentication failed for user "u"`),
		"does not accept this role": answer("28000",
			`no pg_hba.conf entry for host "10.0.0.1", user "u", database "b", no encryption`),
		"the database b, which does not":      answer("3D000", `database "b" does not exist`),
		"the parameter chanel_binding":        answer("42704", `unrecognized configuration parameter "chanel_binding"`),
		"the server does not take":            answer("22023", `invalid value for parameter "work_mem": "much"`),
		"the parameter jit, which the pooler": answer("08P01", "unsupported startup parameter: jit"),
		"the parameter geqo, which":           answer("08P01", "unsupported startup parameter in options: geqo"),
		"demands TLS, and the server":         pq.ErrSSLNotSupported,
		"that can be verified":                x509.UnknownAuthorityError{},
		"has expired or is not valid yet":     x509.CertificateInvalidError{Reason: x509.Expired},
		"a file that cannot be read":          &fs.PathError{Op: "open", Path: "/root.crt", Err: fs.ErrNotExist},
		"a key that others may read":          pq.ErrSSLKeyHasWorldPermissions,
		"two hosts":                           errors.Join(answer("28P01", "x"), answer("28P01", "x")),
	}
	for words, err := range refused {
		p, ok := config.Refusal(err)
		require.True(t, ok, words)
		if words != "two hosts" {
			require.Contains(t, p.Wrong, words)
		}
		require.NotEmpty(t, p.Remedy)
	}
	for _, err := range []error{
		nil, down, noSocket, errors.New("EOF"), answer("57P03", "the database system is starting up"),
		answer("53300", "too many clients"),
		answer("08P01", "no such database: b"), &net.DNSError{Err: "no such host"},
		fmt.Errorf("pq: could not connect to any of the hosts:\n%w", errors.Join(down, answer("28P01", "x"))),
	} {
		_, ok := config.Refusal(err)
		require.False(t, ok, "%v", err)
	}
}

// DATABASE_READ_URL leads to a standby, and has the same problems and warnings under its
// own name.
func TestDatabaseReadURL(t *testing.T) {
	t.Parallel()
	load := func(raw string) (config.Config, error) {
		return config.Load(map[string]string{"DATABASE_URL": "postgres://u:p@h/b", "DATABASE_READ_URL": raw})
	}
	c, err := load("")
	require.NoError(t, err)
	require.Empty(t, c.DatabaseReadURL)
	for raw, attrs := range map[string]string{
		"postgres://u:p@standby/b":                                       "",
		"postgres://u:p@standby/b?target_session_attrs=any":              "any",
		"postgres://u:p@standby/b?target_session_attrs=read-only":        "read-only",
		"postgres://u:p@/b?host=a,c&port=5432,5432":                      "standby",
		"postgres://u:p@/b?host=a,c&target_session_attrs=prefer-standby": "prefer-standby",
	} {
		c, err := load(raw)
		require.NoError(t, err, raw)
		u, err := url.Parse(c.DatabaseReadURL)
		require.NoError(t, err)
		require.Equal(t, attrs, u.Query().Get("target_session_attrs"), raw)
		require.Equal(t, "yes", u.Query().Get("binary_parameters"), raw)
		require.Empty(t, c.DatabaseWarnings)
	}
	for raw, wrong := range map[string]string{
		"standby:5432": "is not a URL",
		"postgres://u:secret@standby/b?target_session_attrs=read-write": "leads to the primary",
		"postgres://u:secret@standby/b?service=x":                       "has the parameter service",
	} {
		_, err := load(raw)
		require.ErrorContains(t, err, "DATABASE_READ_URL", raw)
		require.ErrorContains(t, err, wrong, raw)
		require.NotContains(t, err.Error(), "secret", raw)
	}
	c, err = load("postgres://u:p@standby/b?pgbouncer=true")
	require.NoError(t, err)
	require.Len(t, c.DatabaseWarnings, 1)
	require.Contains(t, c.DatabaseWarnings[0], "DATABASE_READ_URL has parameters")
	_, err = config.Load(map[string]string{"STORAGE_DRIVER": "embedded", "DATABASE_READ_URL": "postgres://u:p@h/b"})
	require.ErrorContains(t, err, "DATABASE_READ_URL is set, and the database is embedded")
}
