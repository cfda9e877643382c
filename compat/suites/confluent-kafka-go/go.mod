// What the tests of package kafka need, instead of the whole module's 200 requirements.
module github.com/confluentinc/confluent-kafka-go/v2

go 1.24.3

require (
	github.com/stretchr/testify v1.9.0
	github.com/testcontainers/testcontainers-go/modules/compose v0.0.0
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
