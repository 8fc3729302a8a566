// Package migrations brings the tables of booking-platform into a database that may
// already belong to somebody else.
//
// The problem: a service that embeds one of our packages has tables called users,
// sessions, payments and bookings of its own, and a migration tool of its own with a
// version table of its own. Two tools that share a version table silently skip each
// other's files, two that share an advisory lock wait for each other, and several
// replicas that start at once apply the same file twice.
//
// So everything lives in the schema booking_platform, which every statement names; each
// room has a [Set] of numbered files with a version table and a lock of its own; and an
// embedder takes only the sets of the packages it imports:
//
//	applied, err := migrations.Up(ctx, db, migrations.Webhook)
//
// Who runs another tool takes the files from [FS] instead. They are in goose's format,
// one folder per set, each file meant to run in one transaction, unless it begins with
// "-- +goose NO TRANSACTION": that one builds indexes concurrently, statement by
// statement, and a run of it that failed is repeated from its beginning. [Check] tells
// whether the schema is one this code can work with, and depends on no tool at all: each
// file records its own version.
//
// The extension btree_gist, which the set Booking needs, goes to the schema public; one
// that is there already, in whatever schema, is used as it is. A role that may not create
// a schema or an extension needs a superuser to run this once; [Up] says so when it finds
// out:
//
//	CREATE SCHEMA booking_platform AUTHORIZATION <role>;
//	CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
//
// What [Up] makes belongs to the role it runs as: use the same one each time. A service
// that runs as another, with fewer rights, calls [Check] at its start and not Up, and
// needs, granted by the first role after each Up that applied something:
//
//	GRANT USAGE ON SCHEMA booking_platform TO <service>;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA booking_platform TO <service>;
package migrations
