// Command kubectl is the real one: the main function of k8s.io/kubernetes/cmd/kubectl, on the module that holds all of it.
package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth" // as the released kubectl has
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
