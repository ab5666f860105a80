package openshift_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/follow"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// A controller's queue is filled by package follow, from a Store, from the verbs, or from a cluster by a Reader.
func Example_workQueue() {
	ctx, cancel := context.WithCancel(context.Background())
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, nil))
	_, err := cluster.ImageV1().ImageStreams("shop").Create(ctx, tagged("app", "v1"), metav1.CreateOptions{})
	if err != nil {
		fmt.Println(err)
	}

	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[imagestream.Key]())
	ended := make(chan error)
	go func() {
		defer queue.ShutDown()
		reader := &openshift.Reader{Client: cluster}
		enqueue := func(key imagestream.Key, _ *imagestream.ImageStream) { queue.Add(key) }
		ended <- follow.ImageStreams(ctx, reader, enqueue, follow.Options{})
	}()
	key, _ := queue.Get()
	fmt.Println(key)
	queue.Forget(key)
	queue.Done(key)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// shop/app
	// context canceled
}

// TestQueueSurvivesGone: what changed while the watch was gone is in the queue afterwards, what vanished too, and
// nothing else.
func TestQueueSurvivesGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := &expiring{Store: &fakes.Store{}}
		client := openshift.Clientset(rest.New(store, nil))
		streams := client.ImageV1().ImageStreams("shop")
		for _, name := range []string{"changed", "same", "vanished"} {
			create(t, streams, tagged(name))
		}
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[imagestream.Key]())
		ended := make(chan error, 1)
		go func() {
			enqueue := func(key imagestream.Key, _ *imagestream.ImageStream) { queue.Add(key) }
			ended <- follow.ImageStreams(ctx, &openshift.Reader{Client: client}, enqueue, follow.Options{})
		}()
		drain := func() map[string]int {
			synctest.Wait()
			got := map[string]int{}
			for queue.Len() > 0 {
				key, _ := queue.Get()
				got[key.Name]++
				queue.Done(key)
			}
			return got
		}
		if got := drain(); len(got) != 3 {
			t.Errorf("the first list enqueued %v", got)
		}
		store.expire()
		synctest.Wait() // the watch has ended, and the pause after that has begun
		s, err := streams.Get(ctx, "changed", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Labels = map[string]string{"a": "b"}
		if _, err := streams.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := streams.Delete(ctx, "vanished", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := drain(); len(got) != 2 || got["changed"] != 1 || got["vanished"] != 1 {
			t.Errorf("after the version was gone: %v", got)
		}
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
		queue.ShutDown()
	})
}
