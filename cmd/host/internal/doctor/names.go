package doctor

// Name is the name of a finding. docs/doctor.md has each of them.
type Name string

// What Examine finds.
const (
	Configuration  Name = "configuration"
	Environment    Name = "environment"
	AppURL         Name = "app-url"
	CookieSecure   Name = "cookie-secure"
	CookieSite     Name = "cookie-samesite"
	CookieDomain   Name = "cookie-domain"
	TrustProxy     Name = "trust-proxy"
	MetricsAddress Name = "metrics-address"

	SessionSecret    Name = "session-secret"
	WebhookSecret    Name = "webhook-secret"
	StripeKey        Name = "stripe-key"
	StripeKeyMode    Name = "stripe-key-mode"
	SecretReused     Name = "secret-reused"
	SecretUse        Name = "secret-use"
	SecretGone       Name = "secret-gone"
	DatabasePassword Name = "database-password"

	DataDir Name = "data-dir"
	Disk    Name = "disk"

	Database            Name = "database"
	DatabaseURL         Name = "database-url"
	DatabaseVersion     Name = "database-version"
	DatabaseEncoding    Name = "database-encoding"
	DatabaseCollation   Name = "database-collation"
	DatabaseDurability  Name = "database-durability"
	DatabaseReadOnly    Name = "database-read-only"
	DatabaseClock       Name = "database-clock"
	DatabaseConnections Name = "database-connections"
	DatabasePrepare     Name = "database-prepare"
	DatabaseTLS         Name = "database-tls"
	DatabaseRights      Name = "database-rights"
	Schema              Name = "schema"
	SchemaNewer         Name = "schema-newer"
	SchemaConstraint    Name = "schema-constraint"

	Stripe                  Name = "stripe"
	StripeClock             Name = "stripe-clock"
	WebhookEndpoint         Name = "webhook-endpoint"
	WebhookEndpointDisabled Name = "webhook-endpoint-disabled"
	WebhookEndpointTypes    Name = "webhook-endpoint-types"
	WebhookEndpointSurplus  Name = "webhook-endpoint-surplus"
	WebhookEndpointVersion  Name = "webhook-endpoint-version"
	WebhookEndpointMode     Name = "webhook-endpoint-mode"
	WebhookEndpointTwice    Name = "webhook-endpoint-twice"

	EventsUndelivered Name = "events-undelivered"
	EventsWaiting     Name = "events-waiting"
	EventsOtherMode   Name = "events-other-mode"
	RefundsStuck      Name = "refunds-stuck"
	RefundsFailed     Name = "refunds-failed"
	PaymentsParked    Name = "payments-parked"
	PaymentsDisputed  Name = "payments-disputed"
	OtherAccounts     Name = "other-accounts"
	Reconciliation    Name = "reconciliation"
	Background        Name = "background"
	AdminUser         Name = "admin-user"
	Resources         Name = "resources"
	Prices            Name = "prices"
)

// What Visit finds.
const (
	BaseReachable Name = "base-reachable"
	BaseLive      Name = "base-live"
	BaseReady     Name = "base-ready"
	BaseHeaders   Name = "base-headers"
	BaseCookie    Name = "base-cookie"
	BaseAPI       Name = "base-api"
	BasePage      Name = "base-page"
	BaseWebhook   Name = "base-webhook"
	BaseMetrics   Name = "base-metrics"

	PayMode      Name = "pay-mode"
	PaySlot      Name = "pay-slot"
	PayCheckout  Name = "pay-checkout"
	PayConfirmed Name = "pay-confirmed"
	PayOnce      Name = "pay-once"
	PayCancelled Name = "pay-cancelled"
	PayRefunded  Name = "pay-refunded"
)
