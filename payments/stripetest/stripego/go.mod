module github.com/booking-platform/booking-platform/payments/stripetest/stripego

go 1.26.0

require (
	github.com/booking-platform/booking-platform v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/stripe/stripe-go/v85 v85.0.0
)

require go.yaml.in/yaml/v3 v3.0.6 // indirect

replace github.com/booking-platform/booking-platform => ../../..
