/* A V4L2 camera for tests, put in front of the C library with LD_PRELOAD, so that OpenCV's own V4L2 code runs.

   FAKE_V4L2_PATH   what is opened under this name is the camera (it must exist as a character device)
   FAKE_V4L2_FATE   "works"; "denied": open fails; "unplugged": the device is gone after 12 frames;
                    "frozen": no more frames after 12
   It grants 640x480 and 60 fps whatever is asked, YUYV and MJPG. The brightness of frame k is 16 + 10 k. A frame's
   stamp is CLOCK_MONOTONIC 30 ms before it is delivered; a timer makes the file descriptor ready for select(). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, FPS = 60, MOST_BUFFERS = 8, FRAME_BYTES = WIDTH * HEIGHT * 2, LAST_FRAME = 12 };
enum { STAMP_AGE_NS = 30000000 };

static int camera = -1;
static uint8_t *memory[MOST_BUFFERS];
static int queue[MOST_BUFFERS], queued;
static int frame;

static int fate_is(const char *fate) {
  const char *given = getenv("FAKE_V4L2_FATE");
  return given != NULL && strcmp(given, fate) == 0;
}

static int open_camera(void) {
  if (fate_is("denied")) {
    errno = EACCES;
    return -1;
  }
  struct timespec period = {0, 1000000000 / FPS};
  struct itimerspec timer = {period, period};
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  timerfd_settime(fd, 0, &timer, NULL);
  camera = fd;
  queued = frame = 0;
  return fd;
}

#define OPEN(NAME)                                                             \
  int NAME(const char *path, int flags, ...) {                                 \
    const char *fake = getenv("FAKE_V4L2_PATH");                               \
    if (fake != NULL && strcmp(path, fake) == 0) return open_camera();         \
    va_list rest;                                                              \
    va_start(rest, flags);                                                     \
    mode_t mode = va_arg(rest, mode_t);                                        \
    va_end(rest);                                                              \
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #NAME);             \
    return real(path, flags, mode);                                            \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  if (fd == camera) camera = -1;
  int (*real)(int) = dlsym(RTLD_NEXT, "close");
  return real(fd);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
  void *(*real)(void *, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");
  if (fd != camera || fd < 0) return real(address, length, protection, flags, fd, offset);
  uint8_t *here = real(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memory[offset / FRAME_BYTES] = here;
  return here;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, length, protection, flags, fd, offset);
}

static int dequeue(struct v4l2_buffer *buffer) {
  uint64_t ticks;
  if (fate_is("unplugged") && frame >= LAST_FRAME) {
    unlink(getenv("FAKE_V4L2_PATH"));
    errno = ENODEV;
    return -1;
  }
  if (fate_is("frozen") && frame >= LAST_FRAME) {
    struct itimerspec never = {{0, 0}, {0, 0}};
    timerfd_settime(camera, 0, &never, NULL);
  }
  if (queued == 0 || read(camera, &ticks, sizeof ticks) < 0) {
    errno = EAGAIN;
    return -1;
  }
  int index = queue[0];
  memmove(queue, queue + 1, sizeof(int) * (size_t)--queued);
  for (int i = 0; i < FRAME_BYTES; i += 2) {
    memory[index][i] = (uint8_t)(16 + 10 * (frame % 20));
    memory[index][i + 1] = 128;
  }
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t stamp_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - STAMP_AGE_NS;
  buffer->index = (uint32_t)index;
  buffer->length = buffer->bytesused = FRAME_BYTES;
  buffer->timestamp.tv_sec = stamp_ns / 1000000000;
  buffer->timestamp.tv_usec = stamp_ns % 1000000000 / 1000;
  buffer->sequence = (uint32_t)frame++;
  return 0;
}

static void grant(struct v4l2_format *format) {
  uint32_t wanted = format->fmt.pix.pixelformat;
  format->fmt.pix.pixelformat = wanted == V4L2_PIX_FMT_MJPEG ? wanted : V4L2_PIX_FMT_YUYV;
  format->fmt.pix.width = WIDTH;
  format->fmt.pix.height = HEIGHT;
  format->fmt.pix.bytesperline = WIDTH * 2;
  format->fmt.pix.sizeimage = FRAME_BYTES;
}

static int answer(unsigned long request, void *argument) {
  struct v4l2_buffer *buffer = argument;
  switch (request) {
  case VIDIOC_QUERYCAP:
    ((struct v4l2_capability *)argument)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    return 0;
  case VIDIOC_G_FMT:
  case VIDIOC_S_FMT:
    grant(argument);
    return 0;
  case VIDIOC_G_PARM:
  case VIDIOC_S_PARM:
    ((struct v4l2_streamparm *)argument)->parm.capture.timeperframe = (struct v4l2_fract){1, FPS};
    return 0;
  case VIDIOC_REQBUFS:
    queued = 0;
    return 0;
  case VIDIOC_QUERYBUF:
    buffer->length = FRAME_BYTES;
    buffer->m.offset = buffer->index * FRAME_BYTES;
    return 0;
  case VIDIOC_QBUF:
    queue[queued++] = (int)buffer->index;
    return 0;
  case VIDIOC_DQBUF:
    return dequeue(buffer);
  case VIDIOC_STREAMON:
  case VIDIOC_STREAMOFF:
    return 0;
  default:
    errno = EINVAL;
    return -1;
  }
}

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (fd >= 0 && fd == camera) return answer(request, argument);
  int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
  return real(fd, request, argument);
}
