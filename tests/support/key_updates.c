/* key_updates PORT SECONDS: a TLS 1.3 client that asks for new keys again and again (RFC 8446 §4.6.3), each time wanting
 * the same of the server, and reads nothing. Prints how many it sent; ends when the server ends it. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

int main(int argc, char **argv) {
  struct sockaddr_in address;
  const struct timeval patience = {1, 0};
  long count = 0;
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL *ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  if (SSL_connect(ssl) != 1) return 1;
  const time_t end = time(NULL) + atoi(argv[2]);
  while (time(NULL) < end && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) ++count;
  SSL_free(ssl);
  SSL_CTX_free(context);
  printf("%ld\n", count);
  return 0;
}
