// Package compose stands in for testcontainers' package of that name, which starts Docker. The
// tests name it, but never call it: they are told of a broker that runs.
package compose

type LocalDockerCompose struct{}

type Command struct{}

type ExecError struct{ Error error }

func NewLocalDockerCompose(files []string, project string) *LocalDockerCompose {
	panic("these tests start no containers")
}

func (*LocalDockerCompose) WithCommand(words []string) Command {
	panic("these tests start no containers")
}

func (*LocalDockerCompose) Down() ExecError {
	panic("these tests start no containers")
}

func (Command) Invoke() ExecError {
	panic("these tests start no containers")
}
